package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/ingest"
)

func newDLQEditCmd(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "edit KEY",
		Short: "Change the event of a dead letter before it is replayed",
		Long: `Gives a dead letter another event, which the next replay sends. On a terminal it
opens $VISUAL or $EDITOR on the event; --file takes the new event from a file, or
from standard input. The event must be one JSON object, as the ingest listener takes
it. The letter keeps the event as it was first received: weir dlq show --original KEY.
An event that is refused, or cannot be stored, stays in the editor's file, which is
named.`,
		Example: `  weir dlq edit 5f0c1d2e3a4b5c6d-1042-0
  weir dlq show --only event KEY | jq '.level = 400' | weir dlq edit --file - KEY`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&file, "file", "", "take the event from `FILE`; - is standard input")
	withDataDir(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := letterKeys(args)
		if err != nil {
			return err
		}
		if file == "" && !a.interactive() {
			return usageErrorf("there is no terminal to edit on: give the event with --file FILE, or --file - for standard input")
		}
		var event []byte
		if file != "" { // before anything is opened: a pipe may be slow
			if event, err = a.readEvent(file); err != nil {
				return err
			}
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true})
		if err != nil {
			return err
		}
		return closing(client, a.editLetter(cmd.Context(), client, keys[0], event))
	}
	return cmd
}

func (a *app) readEvent(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(file)
}

// editLetter stores the event, or what becomes of the present one in the editor when event is nil.
func (a *app) editLetter(ctx context.Context, client *adminClient, key flush.Key, event []byte) error {
	var view letterView
	if err := client.get(ctx, lettersPath+"/"+key.String(), nil, &view); err != nil {
		return err
	}
	var before []byte
	if view.Event != nil {
		before = view.Event.Bytes
	}
	edit := &edited{a: a, key: key, event: event}
	if event == nil {
		if err := edit.run(ctx, before); err != nil {
			return err
		}
	}
	if bytes.Equal(edit.event, before) {
		return errors.Join(errors.New("nothing was changed: the letter stays as it is"), edit.discard())
	}
	if err := ingest.ValidateEvent(edit.event); err != nil {
		return edit.keep(fmt.Errorf("the event is refused: %w", err))
	}
	res, err := client.request(ctx, http.MethodPut, lettersPath+"/"+key.String()+"/event", nil, "application/json", bytes.NewReader(edit.event))
	if err != nil {
		return edit.keep(err)
	}
	defer res.Body.Close()
	if err := edit.discard(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s has a new event of %s; weir dlq replay %s sends it, weir dlq show --original %s shows the first one\n", key, humanBytes(int64(len(edit.event))), key, key)
	return err
}

// edited is an event on its way through an editor. Its file stays until the event is stored, so that no work is lost.
type edited struct {
	a     *app
	key   flush.Key
	event []byte
	path  string // "" when there is no file
}

// run lets the user edit an event in a file.
func (e *edited) run(ctx context.Context, before []byte) error {
	f, err := os.CreateTemp("", "weir-"+e.key.String()+"-*.json") // only this user may read it
	if err != nil {
		return err
	}
	e.path = f.Name()
	var laidOut bytes.Buffer
	if json.Indent(&laidOut, before, "", "  ") != nil {
		laidOut.Reset()
		laidOut.Write(before)
	}
	shown := laidOut.Bytes()
	_, err = f.Write(shown)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	editor := cmp.Or(e.a.getenv("VISUAL"), e.a.getenv("EDITOR"), "vi")
	// Through a shell, because the variable may hold arguments; the path is no part of its text.
	run := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", e.path)
	run.Stdin, run.Stdout, run.Stderr, run.Env = e.a.stdin, e.a.stdout, e.a.stderr, e.a.environ
	if err := run.Run(); err != nil {
		return e.keep(fmt.Errorf("editor %s: %w", editor, err))
	}
	b, err := os.ReadFile(e.path)
	if err != nil {
		return err
	}
	e.event = bytes.TrimSpace(b)
	if bytes.Equal(b, shown) {
		e.event = before // also where the layout differs
	}
	return nil
}

// keep adds to an error where the work is.
func (e *edited) keep(err error) error {
	if e.path == "" {
		return err
	}
	return fmt.Errorf("%w; the event as edited is in %s: mend it and run weir dlq edit --file %s %s", err, e.path, e.path, e.key)
}

// discard removes the file.
func (e *edited) discard() error {
	if e.path == "" {
		return nil
	}
	return os.Remove(e.path)
}

func newDLQDropCmd(a *app) *cobra.Command {
	var filter letterFilter
	var output outputFormat
	var req letterRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "drop [KEY...]",
		Short: "Give dead letters up for good",
		Long: `Drops dead letters: they are gone, and their events with them. weir dlq export keeps a
copy before. It wants keys or a filter; --all drops every letter. On a terminal it
says how many letters are meant and asks, unless --yes is given.`,
		Example: `  weir dlq drop --stage ingest --until 30d --dry-run
  weir dlq drop 5f0c1d2e3a4b5c6d-1042-0`,
	}
	filter.addFlags(cmd)
	output.addFlag(cmd)
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "only count the letters")
	cmd.Flags().BoolVar(&req.All, "all", false, "drop every letter")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if req.Keys, err = keysOrFilter(args, &filter); err != nil {
			return err
		}
		chosen := len(req.Keys) > 0 || !filter.empty()
		if !chosen && !req.All {
			return usageErrorf("give keys or a filter, or --all to drop every letter")
		}
		if chosen && req.All {
			return usageErrorf("--all does not go with keys or filters")
		}
		if req.Filter, err = filter.absolute(a); err != nil {
			return err
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true})
		if err != nil {
			return err
		}
		return closing(client, a.dropLetters(cmd.Context(), client, &req, yes, output))
	}
	return cmd
}

func (a *app) dropLetters(ctx context.Context, client *adminClient, req *letterRequest, yes bool, output outputFormat) error {
	var answer dropAnswer
	drop := func(dryRun bool) error {
		r := *req
		r.DryRun = dryRun
		return client.send(ctx, http.MethodPost, lettersPath+"/drop", &r, &answer)
	}
	if !req.DryRun && !yes && a.interactive() {
		if err := drop(true); err != nil {
			return err
		}
		if answer.Letters > 0 {
			ok, err := a.confirm(fmt.Sprintf("drop %s for good?", counted(answer.Letters, "dead letter", "dead letters")))
			if err != nil {
				return err
			}
			if !ok {
				return errors.New("nothing was dropped")
			}
		}
	}
	if err := drop(req.DryRun); err != nil {
		return err
	}
	if output != outputTable {
		return output.write(a.stdout, answer)
	}
	verb := "dropped"
	if answer.DryRun {
		verb = "would be dropped"
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s\n", counted(answer.Letters, "dead letter", "dead letters"), verb)
	return err
}
