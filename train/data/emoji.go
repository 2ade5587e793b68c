package data

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// EmojiStyle is the art of one hand, with captions.
type EmojiStyle struct {
	Name string
	*Captions
}

// OpenEmoji lists the emoji in a folder of packages as npm unpacks them, or in
// one package: emoji-datasource-twitter and the like (img/twitter/64) and
// @lobehub/fluent-emoji-3d (assets), whose files are named by code points.
// Labels and tags come from emojibase-data or, where it is missing, from the
// emoji.json of emoji-datasource. Captions are the label, and the label with its
// tags. All styles have the same emoji, those that every one of them draws, in
// the same order. Styles are sorted by name.
func OpenEmoji(dir string) ([]EmojiStyle, error) {
	packages := npmPackages(dir)
	words, err := emojiWords(packages)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	if words == nil {
		return nil, errors.Errorf("data: %s: nothing names the emoji, want the package emojibase-data or emoji-datasource-*", dir)
	}
	art, err := emojiArt(packages)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	if len(art) == 0 {
		return nil, errors.Errorf("data: %s holds no emoji, want packages such as emoji-datasource-twitter", dir)
	}
	var shared []string // code points that all styles draw
	for code := range words {
		if !slices.ContainsFunc(art, func(a drawings) bool { return a.files[code] == "" }) {
			shared = append(shared, code)
		}
	}
	if len(shared) == 0 {
		return nil, errors.Errorf("data: %s: the %d styles have no emoji in common", dir, len(art))
	}
	slices.Sort(shared)
	var styles []EmojiStyle
	for _, a := range art {
		var all collector
		for _, code := range shared {
			for _, text := range words[code] {
				if err := all.add(captioned{name: a.files[code], path: a.files[code]}, text); err != nil {
					return nil, errors.Wrapf(err, "data: emoji %s", code)
				}
			}
		}
		styles = append(styles, EmojiStyle{a.style, &Captions{items: all.items}})
	}
	return styles, nil
}

// npmPackages lists the folders that may be packages: dir, those in it or in its
// node_modules, and those within a scope.
func npmPackages(dir string) []string {
	found := []string{dir}
	for _, pattern := range []string{"*", "@*/*", "node_modules/*", "node_modules/@*/*"} {
		// The patterns are sound, which is all that Glob complains of.
		matches, _ := filepath.Glob(filepath.Join(escapeGlob(dir), filepath.FromSlash(pattern)))
		found = append(found, matches...)
	}
	return slices.DeleteFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !info.IsDir()
	})
}

// escapeGlob takes their meaning from the characters of a path.
func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// drawings are the files of a style by code point.
type drawings struct {
	style string
	files map[string]string
}

// emojiArt finds the styles in packages.
func emojiArt(packages []string) ([]drawings, error) {
	var art []drawings
	for _, p := range packages {
		folders, _ := filepath.Glob(filepath.Join(escapeGlob(p), "img", "*", "64"))
		for _, folder := range append(folders, filepath.Join(p, "assets")) {
			style := filepath.Base(filepath.Dir(folder)) // img/twitter/64, fluent-emoji-3d/assets
			entries, err := os.ReadDir(folder)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			a := drawings{style, map[string]string{}}
			for _, e := range entries {
				if stem, ok := strings.CutSuffix(e.Name(), filepath.Ext(e.Name())); ok && isImage(e.Name()) {
					a.files[emojiCode(stem)] = filepath.Join(folder, e.Name())
				}
			}
			if len(a.files) > 0 {
				art = append(art, a)
			}
		}
	}
	slices.SortFunc(art, func(a, b drawings) int { return strings.Compare(a.style, b.style) })
	for i := 1; i < len(art); i++ {
		if art[i].style == art[i-1].style {
			return nil, errors.Errorf("the style %s is there twice", art[i].style)
		}
	}
	return art, nil
}

// emojiCode writes code points in one way: without the mark of colored
// presentation, which packages give or leave out.
func emojiCode(code string) string {
	return strings.ReplaceAll(strings.ToLower(code), "-fe0f", "")
}

// emojiWords gives the captions of emoji by code points, nil if no package has
// them.
func emojiWords(packages []string) (map[string][]string, error) {
	for _, source := range []struct {
		file  string
		parse func([]byte) (map[string][]string, error)
	}{{filepath.Join("en", "data.json"), parseEmojibase}, {"emoji.json", parseEmojiData}} {
		for _, p := range packages {
			path := filepath.Join(p, source.file)
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			words, err := source.parse(text)
			return words, errors.Wrap(err, path)
		}
	}
	return nil, nil
}

// parseEmojibase reads the en/data.json of emojibase-data.
func parseEmojibase(text []byte) (map[string][]string, error) {
	var list []struct {
		Label   string   `json:"label"`
		Hexcode string   `json:"hexcode"`
		Tags    []string `json:"tags"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	words := map[string][]string{}
	for i, e := range list {
		if e.Label == "" || e.Hexcode == "" {
			return nil, errors.Errorf("entry %d lacks label or hexcode", i)
		}
		words[emojiCode(e.Hexcode)] = emojiCaptions(e.Label, e.Tags)
	}
	return words, nil
}

// parseEmojiData reads the emoji.json of emoji-datasource.
func parseEmojiData(text []byte) (map[string][]string, error) {
	var list []struct {
		Name       string   `json:"name"`
		Unified    string   `json:"unified"`
		ShortNames []string `json:"short_names"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	words := map[string][]string{}
	for i, e := range list {
		if e.Name == "" || e.Unified == "" {
			return nil, errors.Errorf("entry %d lacks name or unified", i)
		}
		var tags []string
		for _, name := range e.ShortNames {
			tags = append(tags, strings.NewReplacer("_", " ", "-", " ").Replace(name))
		}
		words[emojiCode(e.Unified)] = emojiCaptions(strings.ToLower(e.Name), tags)
	}
	return words, nil
}

// emojiCaptions are the label, and the label with the tags that add to it.
func emojiCaptions(label string, tags []string) []string {
	tags = slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return strings.EqualFold(t, label) || t == "" })
	if len(tags) == 0 {
		return []string{label}
	}
	return []string{label, label + ": " + strings.Join(tags, ", ")}
}
