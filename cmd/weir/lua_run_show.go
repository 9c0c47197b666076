package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

func (r *luaRun) write(result *luaResult) error {
	r.wrote++
	switch r.output {
	case outputNDJSON:
		return r.output.write(r.out, result)
	case outputJSON:
		sep := ",\n"
		if r.wrote == 1 {
			sep = "[\n"
		}
		if _, err := r.out.WriteString(sep); err != nil {
			return err
		}
		var b bytes.Buffer
		if err := outputNDJSON.write(&b, result); err != nil {
			return err
		}
		_, err := r.out.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
		return err
	}
	return r.print(result)
}

// print shows a result to a person. What it cost stands once, in its first line.
func (r *luaRun) print(result *luaResult) error {
	a, out := r.a, r.out
	cost := a.paint(a.stdout, colourDim, "  ("+eventTime(result.usage.Time)+", "+humanBytes(result.Memory)+")")
	switch result.Result {
	case luaRejected:
		fmt.Fprintf(out, "%d: %s %s: %s\n", result.Line, a.paint(a.stdout, colourRed, result.Result), result.Type, printable(result.Message))
	case luaFailed:
		fmt.Fprintf(out, "%d: %s %s: %s%s\n", result.Line, a.paint(a.stdout, colourRed, result.Result), result.Type, printable(result.Message), cost)
	case luaDropped:
		fmt.Fprintf(out, "%d: %s%s\n", result.Line, a.paint(a.stdout, colourYellow, "dropped"), cost)
	}
	for i, d := range result.Documents {
		head := "to " + d.Index + settingsText(d.ID, d.Pipeline, d.Routing)
		if len(result.Documents) > 1 {
			head = fmt.Sprintf("document %d of %d %s", i+1, len(result.Documents), head)
		}
		if i > 0 {
			cost = ""
		}
		fmt.Fprintf(out, "%d: %s%s\n", result.Line, printable(head), cost)
		if r.diff {
			a.printDiff(out, a.stdout, "  ", indentedJSON(result.event), indentedJSON(d.Source))
			continue
		}
		fmt.Fprintf(out, "%s\n", printable(string(oneLine(d.Source))))
	}
	return nil
}

// settingsText names the settings of a document that are set.
func settingsText(id, pipeline, routing string) string {
	text := ""
	for _, set := range [][2]string{{"id", id}, {"pipeline", pipeline}, {"routing", routing}} {
		if set[1] != "" {
			text += ", " + set[0] + " " + set[1]
		}
	}
	return text
}

// printDiff writes the lines in which two JSON texts differ, coloured where terminal, before which out may be a
// buffer, is one.
func (a *app) printDiff(out, terminal io.Writer, indent, before, after string) {
	changed := changedLines(before, after)
	for _, l := range changed {
		colour := map[byte]string{'-': colourRed, '+': colourGreen, ' ': colourDim}[l.mark]
		fmt.Fprintf(out, "%s%s\n", indent, a.paint(terminal, colour, string(l.mark)+" "+printable(l.text)))
	}
	if len(changed) == 0 {
		fmt.Fprintln(out, indent+"unchanged")
	}
}

// indentedJSON is a JSON text with a line for each member, whole however long it is.
func indentedJSON(source []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, source, "", "  ") != nil {
		return string(source)
	}
	return b.String()
}

// eventTime prints what one event took: mostly some millionths of a second.
func eventTime(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%.1fµs", float64(d.Nanoseconds())/1000)
	}
	return humanDuration(d)
}
