// Keeps the page fresh: takes the same page again and puts its live part in place of the old one.
// Without this script the page works, and the browser reloads it now and then.
"use strict";
(() => {
  const every = 3000;
  const main = document.querySelector("main[data-refresh]");
  if (!main) return;

  function tell(text) {
    const seen = document.querySelector("#seen");
    if (seen.textContent !== text) seen.textContent = text;
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/", { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of main.querySelectorAll("[data-live]")) {
        const fresh = next.querySelector(`[data-live="${part.dataset.live}"]`);
        // What somebody reads or writes in stays as it is.
        if (fresh && !part.contains(document.activeElement) && !part.querySelector("details[open]")) part.replaceWith(document.importNode(fresh, true));
      }
      document.title = next.title;
      tell("");
    } catch {
      tell("· no answer from weir; shown is what was last seen");
    }
  }
  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();
