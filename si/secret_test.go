package si

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// The canaries: fictional, with good check digits.
const (
	canaryPAN  = "6299000110000004"
	canaryName = "欧阳明华"
	canaryPIN  = "\x31\x41\x59\x26\x53\x58\x97\x93"
)

var canaryID = func() string {
	first := "33019919490101123"
	c, _ := IDCheckDigit(first)
	return first + string(c)
}()

var canaryTrack = canaryPAN + "D30122010000012300000"

func secrets(t *testing.T) map[string]any {
	t.Helper()
	pan, err := ParsePAN(canaryPAN)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ParseIDNumber(canaryID)
	if err != nil {
		t.Fatal(err)
	}
	track, err := ParseTrack2(canaryTrack)
	if err != nil {
		t.Fatal(err)
	}
	block, err := NewPINBlock([]byte(canaryPIN))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"PAN": pan, "IDNumber": id, "Track2": track, "PINBlock": block, "Name": NewName(canaryName)}
}

// TestSecretsNeverPrint puts each secret through every verb, alone, by pointer,
// inside a struct, slice and map, in an error and in a log line.
func TestSecretsNeverPrint(t *testing.T) {
	clear := []string{canaryPAN, canaryPAN[:12], canaryID, canaryID[6:14], "明华", canaryTrack, "30122010",
		fmt.Sprintf("%x", canaryPIN), fmt.Sprintf("%X", canaryPIN), fmt.Sprint([]byte(canaryPIN)),
		fmt.Sprintf("%x", canaryPAN), fmt.Sprintf("%x", canaryID), fmt.Sprint([]byte(canaryPAN)[:4])}
	look := func(where, got string) {
		t.Helper()
		for _, c := range clear {
			if strings.Contains(got, strings.Trim(c, "[]")) {
				t.Errorf("%s shows %q in %q", where, c, got)
			}
		}
	}
	for name, s := range secrets(t) {
		shapes := map[string]any{"value": s, "hidden": hide(s), "struct": struct{ S any }{s}, "slice": []any{s}, "map": map[string]any{"s": s}}
		for shape, v := range shapes {
			for _, verb := range "vsdxXqboOUeEfFgGtTpc" {
				for _, flag := range []string{"", "+", "#", "-", " ", "0", "+#", "20.3"} {
					look(fmt.Sprintf("%s %s %%%s%c", name, shape, flag, verb), fmt.Sprintf("%"+flag+string(verb), v))
				}
			}
			look(name+" Sprint", fmt.Sprint(v))
			look(name+" Sprintln", fmt.Sprintln(v, v))
			look(name+" error", fmt.Errorf("what: %v: %w", v, errors.New("x")).Error())
			var line bytes.Buffer
			slog.New(slog.NewTextHandler(&line, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&line, nil)).Info("x", "v", v)
			look(name+" slog", line.String())
			if b, err := json.Marshal(v); err == nil && shape != "hidden" {
				t.Errorf("%s %s marshals to %s", name, shape, b)
			}
		}
		var out bytes.Buffer
		_ = gob.NewEncoder(&out).Encode(s)
		look(name+" gob", out.String())
		if m, ok := s.(interface{ MarshalText() ([]byte, error) }); !ok {
			t.Errorf("%s can be marshalled as text", name)
		} else if b, err := m.MarshalText(); !errors.Is(err, ErrSecret) || b != nil {
			t.Errorf("%s.MarshalText = %q, %v, want ErrSecret", name, b, err)
		}
	}
}

// hide puts a secret into an unexported field, where fmt calls no method.
func hide(s any) any {
	switch v := s.(type) {
	case PAN:
		return struct{ s PAN }{v}
	case IDNumber:
		return struct{ s IDNumber }{v}
	case Track2:
		return struct{ s Track2 }{v}
	case PINBlock:
		return &struct{ s PINBlock }{v}
	case Name:
		return struct{ s Name }{v}
	}
	return nil
}

func TestSecretsShow(t *testing.T) {
	all := secrets(t)
	pan, id := all["PAN"].(PAN), all["IDNumber"].(IDNumber)
	for _, tc := range []struct{ what, got, want string }{
		{"PAN", fmt.Sprint(pan), "PAN ****0004"},
		{"PAN masked", pan.Masked(), "629900******0004"},
		{"PAN tail", pan.Tail(), "0004"},
		{"PAN clear", pan.Reveal("test"), canaryPAN},
		{"PAN appended", string(pan.AppendDigits([]byte("x"), "test")), "x" + canaryPAN},
		{"ID", fmt.Sprint(id), "ID ****" + canaryID[14:]},
		{"ID clear", id.Reveal("test"), canaryID},
		{"ID birth", id.BirthDate(), "19490101"},
		{"name", fmt.Sprint(all["Name"]), "欧**华"},
		{"name of two", NewName("张三").Masked(), "张*"},
		{"name of three", NewName("李小明").Masked(), "李*明"},
		{"name of one", NewName("丽").Masked(), "丽"},
		{"rare characters", NewName("𠮷田明").Masked(), "𠮷*明"},
		{"track", fmt.Sprint(all["Track2"]), "(redacted)"},
		{"track clear", all["Track2"].(Track2).Reveal("test"), canaryTrack},
		{"PIN block", fmt.Sprintf("%x", all["PINBlock"]), "(redacted)"},
		{"PIN block clear", string(all["PINBlock"].(PINBlock).Reveal("test")), canaryPIN},
		{"no PAN", PAN{}.Masked() + PAN{}.Tail(), ""},
		{"no ID", IDNumber{}.Reveal("test") + IDNumber{}.Tail() + IDNumber{}.BirthDate(), ""},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %q, want %q", tc.what, tc.got, tc.want)
		}
	}
	if !id.Male() {
		t.Error("17th digit 3 is read as female")
	}
}

func TestWipe(t *testing.T) {
	all := secrets(t)
	pan, id := all["PAN"].(PAN), all["IDNumber"].(IDNumber)
	track, block := all["Track2"].(Track2), all["PINBlock"].(PINBlock)
	pan.Wipe()
	id.Wipe()
	track.Wipe()
	block.Wipe()
	if !pan.IsZero() || !id.IsZero() || !track.IsZero() || !block.IsZero() || pan != (PAN{}) || id != (IDNumber{}) {
		t.Error("a wiped secret is still there")
	}
}

func TestSecretForms(t *testing.T) {
	for _, s := range []string{"", "629900011000000", "62990001100000040000", "629900011000000a", "6299000110000008"} {
		if _, err := ParsePAN(s); err == nil {
			t.Errorf("ParsePAN(%q) has no error", s)
		}
	}
	for _, s := range []string{"", canaryID[:17], canaryID + "0", "33019919490101123*", strings.ToLower(canaryID[:17]) + "!"} {
		if _, err := ParseIDNumber(s); err == nil {
			t.Errorf("ParseIDNumber(%q) has no error", s)
		}
	}
	for _, s := range []string{"", canaryPAN, canaryPAN + "D", canaryPAN + "=30122010000", canaryTrack + "D", canaryTrack + strings.Repeat("0", 10)} {
		if _, err := ParseTrack2(s); err == nil {
			t.Errorf("ParseTrack2(%q) has no error", s)
		}
	}
	for _, n := range []int{0, 7, 9, 15, 17} {
		if _, err := NewPINBlock(make([]byte, n)); err == nil {
			t.Errorf("NewPINBlock of %d bytes has no error", n)
		}
	}
	for _, err := range []error{func() error { _, err := ParsePAN("6299000110000008"); return err }(),
		func() error { _, err := ParseIDNumber("330199194901011230"); return err }()} {
		if err != nil && strings.ContainsAny(err.Error(), "0123456789") {
			t.Errorf("an error repeats its input: %v", err)
		}
	}
}
