// Reads changes through go-mysql's canal, encodes each as JSON, and counts them.
//
// Arguments: address of the server, database, name of the log file to begin with, number of row changes to read, names
// of tables with commas between them, flavour (mysql or mariadb). Prints "first" at the first change, "last" at the
// last, and at the end the number of changes and of bytes of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/canal"
	"github.com/go-mysql-org/go-mysql/mysql"
)

type change struct {
	Table  string         `json:"table"`
	Action string         `json:"action"`
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
}

type counter struct {
	canal.DummyEventHandler
	wanted, count, bytes int
	done                 chan struct{}
}

func (c *counter) OnRow(event *canal.RowsEvent) error {
	step := 1
	if event.Action == canal.UpdateAction {
		step = 2 // the image before and the image after
	}
	for at := 0; at < len(event.Rows); at += step {
		told := change{Table: event.Table.Name, Action: event.Action}
		switch event.Action {
		case canal.InsertAction:
			told.After = named(event, event.Rows[at])
		case canal.DeleteAction:
			told.Before = named(event, event.Rows[at])
		default:
			told.Before, told.After = named(event, event.Rows[at]), named(event, event.Rows[at+1])
		}
		text, err := json.Marshal(told)
		if err != nil {
			return err
		}
		c.bytes += len(text)
		c.count++
		if c.count == 1 {
			fmt.Println("first")
		}
		if c.count == c.wanted {
			fmt.Println("last")
			close(c.done)
		}
	}
	return nil
}

func (c *counter) String() string { return "counter" }

func named(event *canal.RowsEvent, row []any) map[string]any {
	cells := make(map[string]any, len(row))
	for at, value := range row {
		if text, isBytes := value.([]byte); isBytes {
			value = string(text)
		}
		cells[event.Table.Columns[at].Name] = value
	}
	return cells
}

func main() {
	wanted, err := strconv.Atoi(os.Args[4])
	if err != nil {
		fail(err)
	}
	settings := canal.NewDefaultConfig()
	settings.Addr, settings.User, settings.Charset = os.Args[1], "root", "utf8mb4"
	settings.ServerID = 4322
	settings.Flavor = os.Args[6]
	settings.Dump.ExecutionPath = "" // no first load
	settings.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	for _, table := range strings.Split(os.Args[5], ",") {
		settings.IncludeTableRegex = append(settings.IncludeTableRegex, "^"+os.Args[2]+"\\."+table+"$")
	}
	reader, err := canal.NewCanal(settings)
	if err != nil {
		fail(err)
	}
	counting := &counter{wanted: wanted, done: make(chan struct{})}
	reader.SetEventHandler(counting)
	ended := make(chan error, 1)
	go func() { ended <- reader.RunFrom(mysql.Position{Name: os.Args[3], Pos: 4}) }()
	select {
	case <-counting.done:
	case err := <-ended:
		fail(err)
	}
	reader.Close()
	fmt.Println(counting.count, counting.bytes)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
