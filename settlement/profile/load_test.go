package profile

import (
	"os"
	"testing"
)

func TestLoadDemo(t *testing.T) {
	for _, code := range []string{"rcb", "icbc", "ccb", "boc"} {
		p, err := LoadFS(os.DirFS("../../data/banks"), code)
		if err != nil {
			t.Errorf("LoadFS(%s): %v", code, err)
			continue
		}
		if p.Code != code {
			t.Errorf("LoadFS(%s): code %s", code, p.Code)
		}
	}
}
