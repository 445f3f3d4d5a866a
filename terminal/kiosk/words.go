package kiosk

import (
	"embed"
	"fmt"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/shebao-pay/shebao/terminal/flow"
	"golang.org/x/text/language"
)

//go:embed words
var wordFiles embed.FS

// languages of the screens; the first is the fallback.
var languages = []string{"zh", "en"}

var htmlLang = map[string]string{"zh": "zh-CN", "en": "en"}

// words are the catalogues.
type words struct {
	speak map[string]*i18n.Localizer
	has   map[string]map[string]bool // language → key
}

func loadWords() (*words, error) {
	bundle := i18n.NewBundle(language.Chinese)
	w := &words{speak: map[string]*i18n.Localizer{}, has: map[string]map[string]bool{}}
	for _, lang := range languages {
		f, err := bundle.LoadMessageFileFS(wordFiles, "words/"+lang+".json")
		if err != nil {
			return nil, fmt.Errorf("kiosk: catalogue %s: %w", lang, err)
		}
		w.has[lang] = map[string]bool{}
		for _, m := range f.Messages {
			w.has[lang][m.ID] = true
		}
	}
	for _, lang := range languages {
		w.speak[lang] = i18n.NewLocalizer(bundle, lang)
	}
	return w, nil
}

// say gives the words of key. count chooses the plural form when it is a number;
// pairs are the values of the words.
func (w *words) say(lang, key string, count any, pairs ...any) (string, error) {
	data := map[string]any{}
	if count != nil {
		data["N"] = count
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	s, err := w.speak[lang].Localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: data, PluralCount: count})
	if err != nil {
		return "", fmt.Errorf("kiosk: words %s in %s: %w", key, lang, err)
	}
	return s, nil
}

// either gives the words of kind.key, or those of kind.fallback for a key that
// the catalogue does not have.
func (w *words) either(lang, kind, key, fallback string) (string, error) {
	id := kind + "." + key
	if !w.has[lang][id] {
		id = kind + "." + fallback
	}
	return w.say(lang, id, nil)
}

// label gives the words of a button: those of the screen where it has its own,
// else those of the action. They may name the total and the number chosen.
func (w *words) label(lang string, v view, a flow.Action) (string, error) {
	id := "act." + string(v.ID) + "." + string(a)
	if a == flow.ActAll && v.AllChosen() {
		id = "act.all-off"
	}
	if !w.has[lang][id] {
		id = "act." + string(a)
	}
	return w.say(lang, id, v.Chosen, "Total", "￥"+v.Total.Grouped())
}
