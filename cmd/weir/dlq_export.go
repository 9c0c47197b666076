package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/wal"
)

func newDLQExportCmd(a *app) *cobra.Command {
	var filter letterFilter
	var envelope bool
	var dir string
	cmd := &cobra.Command{
		Use:   "export [KEY...]",
		Short: "Write the events of dead letters as NDJSON",
		Long: `Writes the events of dead letters to standard output, one a line, as weir send takes
them, byte for byte but for line breaks between tokens. Letters whose bytes are no
event (garbage of stage ingest, damage of stage log) are left out and counted on
standard error; an event of which several documents were refused is written once.

Events of all streams come together: --stream chooses one, and --dir DIR writes a file
for each, DIR/STREAM.ndjson, which weir send --stream STREAM takes. An existing file
is not written over. --with-envelope writes every letter whole instead: cause, bytes
as base64, and as text where they are valid UTF-8.

What weir send makes of an export are new events: they get new ids, and the letters
stay. weir dlq replay sends the letters themselves, under the ids that they have, and
settles them.`,
		Example: `  weir dlq export --stage transform > events.ndjson
  weir dlq export --stream audit | weir send --stream audit -
  weir dlq export --dir letters/
  weir dlq export --with-envelope | gzip > letters.ndjson.gz`,
	}
	filter.addFlags(cmd)
	cmd.Flags().BoolVar(&envelope, "with-envelope", false, "write every letter whole, with its cause")
	cmd.Flags().StringVar(&dir, "dir", "", "write a file for each stream into this `DIR`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := keysOrFilter(args, &filter)
		if err != nil {
			return err
		}
		params, err := filter.values(a)
		if err != nil {
			return err
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true})
		if err != nil {
			return err
		}
		export := &letterExport{envelope: envelope, to: &exportStdout{out: a.stdout}, seen: map[exportedEvent]bool{}}
		if dir != "" {
			export.to = &exportDir{dir: dir, files: map[string]*exportFile{}}
		}
		err = a.exportLetters(cmd.Context(), client, keys, params, export)
		return closing(client, errors.Join(err, export.to.close(err == nil)))
	}
	return cmd
}

// keysAtOnce is how many keys stand in the address of one request.
const keysAtOnce = 200

// eachLetter asks for letters whole, those of keys or, without keys, of a filter, and calls each for every line of the answer.
func eachLetter(ctx context.Context, client *adminClient, keys []flush.Key, params url.Values, each func(line []byte) error) error {
	ask := func(params url.Values) error {
		_, err := client.lines(ctx, http.MethodGet, lettersPath+"/export", params, nil, each)
		return err
	}
	var err error
	if len(keys) == 0 {
		err = ask(params)
	}
	for len(keys) > 0 && err == nil {
		n := min(keysAtOnce, len(keys))
		params := url.Values{}
		for _, key := range keys[:n] {
			params.Add("key", key.String())
		}
		err, keys = ask(params), keys[n:]
	}
	return err
}

func (a *app) exportLetters(ctx context.Context, client *adminClient, keys []flush.Key, params url.Values, export *letterExport) error {
	if err := eachLetter(ctx, client, keys, params, export.line); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%s written", counted(export.written, "letter", "letters"))
	if export.again > 0 {
		fmt.Fprintf(a.stderr, ", %s of events that were written already", humanCount(export.again))
	}
	if export.left > 0 {
		fmt.Fprintf(a.stderr, ", %s left out because their bytes are no event, which weir send could not send; --with-envelope writes them too", humanCount(export.left))
	}
	fmt.Fprintln(a.stderr)
	if !export.envelope && export.written > 0 {
		fmt.Fprintln(a.stderr, "weir send makes new events of them, with new ids; weir dlq replay sends the letters under their own")
	}
	return nil
}

// exportedEvent names the event of a letter.
type exportedEvent struct {
	epoch  wal.Epoch
	offset wal.Offset
}

// letterExport turns letters into lines.
type letterExport struct {
	to       exportTarget
	envelope bool
	seen     map[exportedEvent]bool // events that became several documents
	written  int
	again    int // letters whose event was written for another letter
	left     int
}

func (x *letterExport) line(line []byte) error {
	var view letterView
	if err := json.Unmarshal(line, &view); err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	if !x.envelope {
		if view.Event == nil || ingest.ValidateEvent(view.Event.Bytes) != nil {
			x.left++
			return nil
		}
		if view.Of > 1 {
			event := exportedEvent{view.Key.Epoch, view.Key.Offset}
			if x.seen[event] {
				x.again++
				return nil
			}
			x.seen[event] = true
		}
		line = oneLine(view.Event.Bytes)
	}
	x.written++
	return x.to.write(view.Stream, append(line[:len(line):len(line)], '\n'))
}

// exportTarget takes the lines of letters.
type exportTarget interface {
	write(stream string, line []byte) error
	close(whole bool) error // whole: nothing is missing
}

// exportStdout writes the lines of all streams as they come.
type exportStdout struct{ out io.Writer }

func (x *exportStdout) write(_ string, line []byte) error {
	_, err := x.out.Write(line)
	return err
}

func (x *exportStdout) close(bool) error { return nil }

// exportDir writes a file for each stream. Files have their names only when they are whole: weir send may be watching.
type exportDir struct {
	dir   string
	files map[string]*exportFile
}

type exportFile struct {
	*os.File
	buffer *bufio.Writer
	path   string
}

func (x *exportDir) write(stream string, line []byte) error {
	f := x.files[stream]
	if f == nil {
		var err error
		if f, err = x.open(stream); err != nil {
			return err
		}
		x.files[stream] = f
	}
	_, err := f.buffer.Write(line)
	return err
}

func (x *exportDir) open(stream string) (*exportFile, error) {
	if err := os.MkdirAll(x.dir, 0o700); err != nil {
		return nil, err
	}
	name := url.PathEscape(stream) // a stream's name is plain; what is on a disk may be anything
	if stream == "" {
		name = "unknown"
	}
	path := filepath.Join(x.dir, name+".ndjson")
	if exists(path) {
		return nil, fmt.Errorf("%s is there already, and is not written over", path)
	}
	f, err := os.OpenFile(path+".partial", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // events are nobody else's business
	if err != nil {
		return nil, err
	}
	return &exportFile{File: f, buffer: bufio.NewWriterSize(f, 64<<10), path: path}, nil
}

func (x *exportDir) close(whole bool) error {
	var errs []error
	for _, f := range x.files {
		err := errors.Join(f.buffer.Flush(), f.Close())
		switch {
		case err == nil && whole:
			err = os.Rename(f.path+".partial", f.path)
		default:
			err = errors.Join(err, os.Remove(f.path+".partial"))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// oneLine puts valid JSON on one line and leaves every other byte as it is: line breaks can stand only
// between tokens.
func oneLine(event []byte) []byte {
	line := make([]byte, 0, len(event)+1)
	for _, c := range event {
		if c != '\n' && c != '\r' {
			line = append(line, c)
		}
	}
	return line
}
