package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// hardened are the lines that every unit has.
var hardened = []string{
	"Type=simple", // no program tells systemd that it is ready
	"Restart=always", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes",
	"PrivateTmp=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes",
	"SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources", "UMask=0077", "LimitCORE=0",
}

// TestUnits: each unit is hardened, checks the file before it starts on it, runs
// as a user that is made, and gives that user the folders that the example
// names: everything else is read-only to it.
func TestUnits(t *testing.T) {
	users := example(t, "shebao.sysusers.conf")
	for _, u := range []struct {
		unit, config string
		program      string
		paths        []string // of the example, written to
	}{
		{"shebao-hsm.service", "hsm.example.yaml", "/usr/bin/settled -hsm -config /etc/shebao/hsm.yaml", []string{"socket"}},
		{"shebao-settled.service", "settled.example.yaml", "/usr/bin/settled -config /etc/shebao/settled.yaml", []string{"data", "operator.socket"}},
		{"shebao-terminald.service", "terminald.example.yaml", "/usr/bin/terminald -config /etc/shebao/terminald.yaml", []string{"data", "kiosk.token_file"}},
	} {
		unit := strings.Split(example(t, u.unit), "\n")
		values := map[string][]string{}
		for _, line := range unit {
			if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				values[k] = append(values[k], strings.Fields(v)...)
			}
		}
		for _, want := range append([]string{"ExecStart=" + u.program, "ExecStartPre=" + u.program + " -check-config"}, hardened...) {
			if !slices.Contains(unit, want) {
				t.Errorf("%s: no line %q", u.unit, want)
			}
		}
		if user := values["User"]; len(user) != 1 || !strings.Contains(users, "\nu "+user[0]+" ") {
			t.Errorf("%s: user %v is not made by shebao.sysusers.conf", u.unit, user)
		}
		var file map[string]any
		if err := yaml.Unmarshal([]byte(example(t, u.config)), &file); err != nil {
			t.Fatal(err)
		}
		for _, name := range u.paths {
			path := at(t, file, name)
			if !under(path, "/var/lib", values["StateDirectory"]) && !under(path, "/run", values["RuntimeDirectory"]) {
				t.Errorf("%s: %s of %s is %s, which the unit cannot write", u.unit, name, u.config, path)
			}
		}
	}
}

func at(t *testing.T, file map[string]any, name string) string {
	t.Helper()
	var v any = file
	for _, key := range strings.Split(name, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("the example has no %s", name)
	}
	return s
}

func under(path, root string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool {
		dir := filepath.Join(root, d)
		return path == dir || strings.HasPrefix(path, dir+"/")
	})
}
