package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/simulators/world"
)

// The bars of a soak. A run with less time than they take says by how much it
// missed them.
const (
	soakSeeds       = 5000
	soakPayments    = 10_000_000
	soakHours       = 100_000 // virtual
	soakTwice       = 500
	soakCell        = 5000
	soakHunt        = 200
	soakBugs        = 40
	soakKills       = 2000
	soakMinutes     = 120
	soakRate        = 300
	soakBegun       = 0.95 * soakRate // that many payers get their turn
	soakFuzzTargets = 12
	soakFuzzSeconds = 12 * 600 // of all targets together
	soakPartMost    = 150 * time.Minute
	soakDay         = 2600 // payments that people set out to make; some owe nothing any more
	// soakChunk is how many seeds are played between two looks at the clock.
	soakChunk = 50
	// soakTail is how much of what a command wrote a report keeps when it failed.
	soakTail = 4000
)

// soakParts are the parts in the order in which they run. process runs alone,
// for its latencies, as all do.
var soakParts = []soakPart{
	{"sim", soakSim},
	{"mutants", soakMutants},
	{"crash", soakCrash},
	{"process", soakProcess},
	{"fuzz", soakFuzz},
	{"mutation", nil},
}

// soakBarsElsewhere are the bars of a soak that no part measures. Each must be on
// the list of skips.
var soakBarsElsewhere = []string{"B10", "B12", "B13", "B14", "B16"}

type soakPart struct {
	name string
	run  func(ctx context.Context, s *soak, r *partReport) error
}

// partReport is what became of one part.
type partReport struct {
	origin
	Part    string  `json:"part"`
	Passed  bool    `json:"passed"`
	Why     string  `json:"why,omitempty"`     // it did not pass, or was skipped
	Skipped bool    `json:"skipped,omitempty"` // the reason is on the list of skips
	Seconds float64 `json:"seconds"`
	Seeds   string  `json:"seeds,omitempty"`
	Bars    []bar   `json:"bars"`
	// Counts, faults, layers and figures of what the part ran.
	Figures map[string]any `json:"figures,omitempty"`
	Output  string         `json:"output,omitempty"` // the end of it, where it failed
}

// soakReport is the whole.
type soakReport struct {
	origin
	Hours    float64           `json:"hours"`
	Complete bool              `json:"complete"` // every part passed on this commit, or may be skipped
	Parts    map[string]string `json:"parts"`
	Skipped  map[string]string `json:"skipped"` // parts and bars, with the reason
}

// soak is one run of simulate soak.
type soak struct {
	hours    float64
	part     string
	report   string
	seed     uint64
	errOut   io.Writer
	skips    map[string]string
	deadline time.Time // of the part that runs
}

//go:embed skips.txt
var skipList string

// readSkips reads the list of what may be left out.
func readSkips(text string) (map[string]string, error) {
	skips := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, why, ok := strings.Cut(line, ": ")
		if !ok || name == "" || strings.TrimSpace(why) == "" || skips[name] != "" {
			return nil, fmt.Errorf("skips.txt, line %d: want NAME: REASON, each name once", i+1)
		}
		skips[name] = strings.TrimSpace(why)
	}
	return skips, nil
}

func soakCommand() *cobra.Command {
	var s soak
	c := &cobra.Command{
		Use: "soak", Args: cobra.NoArgs,
		Short: "Hours of proof in parts, each with its bars and a dated report",
		Long: `Runs the parts sim, mutants, crash, process, fuzz and mutation one after the other,
each for its share of the hours, and writes a dated report of each and of the
whole. A part that passed on this commit is not run again, so that a soak may be
done in several sittings. Every bar prints its number and its minimum. What is
left out is a failure, unless cmd/simulate/skips.txt has the reason.

Run it in the folder of the source: mutants and fuzz are compiled from it.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s.errOut = cmd.ErrOrStderr()
			if s.skips, err = readSkips(skipList); err != nil {
				return err
			}
			if s.hours <= 0 || s.hours > 1000 {
				return fmt.Errorf("--hours %g: more than 0, at most 1000", s.hours)
			}
			if s.part != "" && !slices.ContainsFunc(soakParts, func(p soakPart) bool { return p.name == s.part }) {
				return fmt.Errorf("--part %q: one of %s", s.part, strings.Join(partNames(), ", "))
			}
			if _, err := os.Stat("go.mod"); err != nil {
				return fmt.Errorf("soak: run it in the folder of the source: %w", err)
			}
			return s.run(cmd.Context())
		},
	}
	fl := c.Flags()
	fl.Float64Var(&s.hours, "hours", 1, "how long all parts together may take, or the one part")
	fl.StringVar(&s.part, "part", "", "only this part: "+strings.Join(partNames(), ", "))
	fl.StringVar(&s.report, "report", filepath.Join("docs", "reports"), "folder of the reports")
	fl.Uint64Var(&s.seed, "seed", 1, "first seed of the simulation, and seed of the kills and lines")
	return c
}

func partNames() (names []string) {
	for _, p := range soakParts {
		names = append(names, p.name)
	}
	return names
}

func (s *soak) say(format string, args ...any) { _, _ = fmt.Fprintf(s.errOut, format+"\n", args...) }

func (s *soak) run(ctx context.Context) error {
	began := time.Now()
	from, err := originNow(began)
	if err != nil {
		return err
	}
	whole := soakReport{origin: from, Hours: s.hours, Complete: true, Parts: map[string]string{}, Skipped: map[string]string{}}
	ahead := 0
	for _, p := range soakParts {
		if p.run != nil && (s.part == "" || s.part == p.name) {
			ahead++
		}
	}
	var failed []string
	for _, p := range soakParts {
		if s.part != "" && s.part != p.name {
			if path := s.passed(p.name, from.Commit); path != "" {
				whole.Parts[p.name] = "passed: " + filepath.Base(path)
			} else if why := s.skips[p.name]; why != "" {
				whole.Parts[p.name], whole.Skipped[p.name] = "skipped", why
			} else {
				whole.Parts[p.name], whole.Complete = "not run on this commit", false
			}
			continue
		}
		verdict, ok, err := s.runPart(ctx, p, time.Duration(s.hours/float64(max(ahead, 1))*float64(time.Hour)))
		if err != nil {
			return err
		}
		whole.Parts[p.name] = verdict
		if p.run == nil && ok {
			whole.Skipped[p.name] = s.skips[p.name]
		}
		if !ok {
			whole.Complete = false
			failed = append(failed, p.name)
		}
	}
	for _, name := range soakBarsElsewhere {
		if why := s.skips[name]; why != "" {
			whole.Skipped[name] = why
			s.say("  skipped %s: %s", name, why)
		} else {
			whole.Complete = false
			failed = append(failed, name)
		}
	}
	path, err := writeReport(s.report, "soak", whole)
	if err != nil {
		return err
	}
	s.say("report: %s", path)
	if len(failed) > 0 {
		return fmt.Errorf("soak: %s did not pass; the reports say why", strings.Join(failed, ", "))
	}
	if !whole.Complete {
		s.say("the other parts have not passed on this commit yet")
	}
	return nil
}

// runPart runs a part unless it has passed on this commit, and writes its report.
func (s *soak) runPart(ctx context.Context, p soakPart, most time.Duration) (verdict string, ok bool, err error) {
	began := time.Now()
	r := partReport{Part: p.name, Figures: map[string]any{}}
	if r.origin, err = originNow(began); err != nil {
		return "", false, err
	}
	if path := s.passed(p.name, r.Commit); path != "" {
		s.say("%s has passed on this commit: %s", p.name, path)
		return "passed: " + filepath.Base(path), true, nil
	}
	if p.run == nil {
		if r.Why, r.Skipped = s.skips[p.name], s.skips[p.name] != ""; !r.Skipped {
			r.Why = "it does not exist, and cmd/simulate/skips.txt has no reason for that"
		}
		s.say("%s is left out: %s", p.name, r.Why)
	} else {
		s.deadline = began.Add(min(most, soakPartMost))
		s.say("%s, until %s", p.name, s.deadline.Format("15:04:05"))
		if err := p.run(ctx, s, &r); err != nil {
			r.Why = err.Error()
		} else if err := notMet(r.Bars); err != nil {
			r.Why = err.Error()
		}
		if ctx.Err() != nil {
			return "", false, fmt.Errorf("soak: %s: %w", p.name, ctx.Err())
		}
		tellBars(s.errOut, r.Bars)
		r.Passed = r.Why == ""
	}
	r.Seconds = time.Since(began).Seconds()
	path, err := writeReport(s.report, "soak-"+p.name, r)
	if err != nil {
		return "", false, err
	}
	switch {
	case r.Skipped:
		return "skipped", true, nil
	case r.Passed:
		return "passed: " + filepath.Base(path), true, nil
	}
	s.say("  %s did not pass: %s", p.name, r.Why)
	return "did not pass: " + filepath.Base(path), false, nil
}

// passed gives the report of a part that has passed on a commit, or nothing. A
// tree with changes has no commit that could be named again.
func (s *soak) passed(part, commit string) string {
	if strings.Contains(commit, ",") || commit == "unknown" {
		return ""
	}
	files, err := filepath.Glob(filepath.Join(s.report, "*-soak-"+part+".json"))
	if err != nil {
		return ""
	}
	for _, path := range files {
		var r partReport
		b, err := os.ReadFile(path) // #nosec G304 -- a report of ours
		if err == nil && json.Unmarshal(b, &r) == nil && r.Passed && r.Commit == commit && r.Part == part {
			return path
		}
	}
	return ""
}

// soakSim plays seeds until the minimum is reached or the time is over.
func soakSim(ctx context.Context, s *soak, r *partReport) error {
	var total world.Sum
	j := judge{}
	next, same := s.seed, 0
	o := world.Options{Payments: soakDay, Export: j.day}
	for total.Seeds < soakSeeds || total.Payments < soakPayments || total.Hours < soakHours || rarest(&total) < soakCell {
		if total.Seeds > 0 && time.Now().After(s.deadline) {
			break
		}
		sum, err := world.PlayAll(ctx, next, next+soakChunk-1, o, func(int) {})
		if err != nil {
			return err
		}
		if same == total.Seeds && same < soakTwice {
			f := worldFlags{payments: o.Payments, twice: soakChunk}
			n, err := f.again(ctx, s.errOut, next, sum.Hashes, nil)
			if err != nil {
				return err
			}
			same += n
		}
		total.Add(&sum)
		next += soakChunk
		s.say("  %d seeds, %d payments, %d violations, %d findings", total.Seeds, total.Payments, len(total.Violations), j.count)
		if len(total.Violations) > 0 || j.count > 0 {
			break // one is enough to stop for
		}
	}
	f := worldFlags{payments: o.Payments}
	f.tellViolations(s.errOut, total.Violations, nil)
	j.say(s.errOut, &f, nil)
	cell, n := total.Cells.Least()
	r.Seeds = fmt.Sprintf("%d-%d", s.seed, next-1)
	r.Bars = []bar{
		least("B1 seeds", total.Seeds, soakSeeds), least("B1 payments", total.Payments, soakPayments),
		least("B1 virtual hours", total.Hours, soakHours), most("B1 violations", len(total.Violations), 0),
		most("B1 findings of the SQL oracle", j.count, 0), least("B2 seeds with the same hash twice, on 1 and on 2 processors", same, soakTwice),
		least("B3 the rarest wanted cell, "+cell, n, soakCell),
	}
	faults, cells := total.Cells.Counts()
	r.Figures = map[string]any{"posted": total.Posted, "voided": total.Voided, "reversals_sent": total.Reversals, "breaks_found": total.Breaks,
		"checks": total.Checks, "faults": faults, "cells": cells, "violated": total.Violations, "found_by_the_oracle": j.lines}
	return nil
}

func rarest(s *world.Sum) uint64 {
	_, n := s.Cells.Least()
	return n
}

// huntLine is a line of the hunt for planted bugs.
var huntLine = regexp.MustCompile(`(?m)^\s*"([a-z-]+)":\s+\{(\d+), "(\w+)"\},$`)

// soakMutants looks for each planted bug from seed 1 on.
func soakMutants(ctx context.Context, s *soak, r *partReport) error {
	out, err := s.command(ctx, 0, "go", "test", "-v", "-tags", "planted", "-count=1", "-timeout", "0", "-run", "^TestPlanted$",
		"./simulators/world", "-hunt", strconv.Itoa(soakHunt))
	table, last := map[string]any{}, 0
	for _, m := range huntLine.FindAllStringSubmatch(out, -1) {
		seed, convErr := strconv.Atoi(m[2])
		if convErr != nil {
			return fmt.Errorf("hunt: %w", convErr)
		}
		table[m[1]] = map[string]any{"seed": seed, "invariant": m[3]}
		last = max(last, seed)
	}
	r.Seeds = fmt.Sprintf("1-%d", last)
	r.Figures["found"] = table
	r.Bars = []bar{least("B4 planted bugs found", len(table), soakBugs), most("B4 planted bugs that escape", strings.Count(out, " escapes "), 0),
		most("B4 the seed that the last of them takes", last, soakHunt)}
	if err != nil {
		r.Output = tail(out)
	}
	return err
}

// soakCrash kills programs by `simulate crash`.
func soakCrash(ctx context.Context, s *soak, r *partReport) error {
	fig, err := s.ourselves(ctx, r, "crash", "--kills", strconv.Itoa(soakKills), "--seed", strconv.FormatUint(s.seed, 10), "--json")
	r.Seeds = strconv.FormatUint(s.seed, 10)
	r.Bars = []bar{least("B7 kills", fig["kills"], soakKills)}
	if fig != nil { // without a result nothing is known of what was lost
		r.Bars = append(r.Bars, most("B7 lost", fig["lost"], 0), most("B7 doubled", fig["doubled"], 0))
	}
	return err
}

// soakProcess runs the real programs behind bad lines by `simulate faults`.
func soakProcess(ctx context.Context, s *soak, r *partReport) error {
	// What comes before and after the payments takes up to two minutes.
	minutes := min(soakMinutes, max(0.2, time.Until(s.deadline).Minutes()-2))
	fig, err := s.ourselves(ctx, r, "faults", "--minutes", fmt.Sprintf("%.1f", minutes), "--rate", strconv.Itoa(soakRate),
		"--seed", strconv.FormatUint(s.seed, 10), "--json")
	r.Seeds = strconv.FormatUint(s.seed, 10)
	r.Bars = []bar{least("B9 minutes", minutes, soakMinutes), least("B9 payments begun a second", begun(r.Figures)/(60*minutes), soakBegun)}
	if fig != nil {
		r.Bars = append(r.Bars, most("B9 payments without an end", fig["pending"], 0), most("B9 lost", fig["lost"], 0), most("B9 doubled", fig["doubled"], 0))
	}
	return err
}

// begun is how many payments a run of simulate faults set out to make: those that
// were paid and those that ended without money.
func begun(figures map[string]any) (n float64) {
	for _, name := range []string{"terminal_payments", "counter_payments", "unanswered"} {
		v, _ := figures[name].(float64)
		n += v
	}
	refused, _ := figures["refused"].(map[string]any)
	for _, v := range refused {
		x, _ := v.(float64)
		n += x
	}
	return n
}

// fuzzLine is a line of scripts/fuzz.sh about one target.
var fuzzLine = regexp.MustCompile(`(?m)^(ok|FAILED) (\S+)(?: (\d+) executions)?$`)

// soakFuzz feeds every fuzz target.
func soakFuzz(ctx context.Context, s *soak, r *partReport) error {
	list, err := exec.CommandContext(ctx, "bash", "scripts/fuzz.sh", "--list").Output()
	if err != nil {
		return fmt.Errorf("fuzz targets: %w", err)
	}
	targets := bytes.Count(list, []byte("\n"))
	// Two are fed at once; building them takes a few minutes the first time.
	each := int(min(600, max(1, 2*time.Until(s.deadline).Seconds()/float64(max(targets, 1)))))
	out, err := s.command(ctx, 0, "bash", "scripts/fuzz.sh", strconv.Itoa(each)+"s")
	execs, fed, failed := map[string]any{}, 0, 0
	sum := 0.0
	for _, m := range fuzzLine.FindAllStringSubmatch(out, -1) {
		fed++
		if m[1] == "FAILED" {
			failed++
			continue
		}
		n, convErr := strconv.ParseFloat(m[3], 64)
		if convErr != nil {
			return fmt.Errorf("fuzz: %s: %w", m[0], convErr)
		}
		execs[m[2]], sum = n, sum+n
	}
	r.Figures["executions"], r.Figures["executions_of_all"], r.Figures["seconds_each"] = execs, sum, each
	r.Bars = []bar{least("B11 fuzz targets", fed, max(soakFuzzTargets, targets)), least("B11 seconds of all targets", fed*each, soakFuzzSeconds),
		most("B11 targets that failed", failed, 0)}
	if err != nil {
		r.Output = tail(out)
	}
	return err
}

// ourselves runs a command of this program and reads the JSON of its last line:
// the numbers of it are given, all of it is kept.
func (s *soak) ourselves(ctx context.Context, r *partReport, args ...string) (map[string]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("soak: own path: %w", err)
	}
	out, err := s.command(ctx, time.Until(s.deadline)+10*time.Minute, self, args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if jsonErr := json.Unmarshal([]byte(lines[len(lines)-1]), &r.Figures); jsonErr != nil {
		r.Output = tail(out)
		return nil, errors.Join(err, fmt.Errorf("soak: simulate %s gave no result: %w", args[0], jsonErr))
	}
	figures := map[string]float64{}
	for k, v := range r.Figures {
		if n, ok := v.(float64); ok {
			figures[k] = n
		}
	}
	if err != nil {
		r.Output = tail(out)
	}
	return figures, err
}

// command runs a program, shows what it says, and gives what it wrote on its
// standard output. It is stopped after most, 0 for no bound.
func (s *soak) command(ctx context.Context, most time.Duration, name string, args ...string) (string, error) {
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	s.say("  %s %s", filepath.Base(name), strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, name, args...) // #nosec G204 -- our own programs and scripts
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var out bytes.Buffer
	cmd.Stderr = s.errOut
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("soak: %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("soak: %s: %w", name, err)
	}
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		out.Write(lines.Bytes())
		out.WriteByte('\n')
		s.say("  | %s", lines.Bytes())
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("soak: %s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return out.String(), nil
}

func tail(s string) string { return s[max(0, len(s)-soakTail):] }
