package bpe

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
)

// Save writes vocab.json, merges.txt and tokenizer_config.json to dir, which it
// makes if need be. Load reads them, and so does Hugging Face's transformers,
// which cleans in its own way.
func (t *Tokenizer) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errors.Wrap(err, "bpe")
	}
	vocab, err := t.vocabJSON()
	if err != nil {
		return errors.Wrapf(err, "bpe: %s", dir)
	}
	settings, err := t.configJSON()
	if err != nil {
		return errors.Wrapf(err, "bpe: %s", dir)
	}
	for _, f := range []struct {
		name string
		text []byte
	}{
		{"vocab.json", vocab},
		{"merges.txt", t.mergesText()},
		{"tokenizer_config.json", settings},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o644); err != nil {
			return errors.Wrap(err, "bpe")
		}
	}
	return nil
}

// vocabJSON lists tokens by id, as published files do and maps don't.
func (t *Tokenizer) vocabJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for id, token := range t.tokens {
		if id > 0 {
			out.WriteString(", ")
		}
		name, err := marshal(token)
		if err != nil {
			return nil, err
		}
		number, err := marshal(id)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteString(": ")
		out.Write(number)
	}
	out.WriteString("}\n")
	return out.Bytes(), nil
}

// marshal is json.Marshal without escapes for HTML: tokens hold < and >.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}

func (t *Tokenizer) mergesText() []byte {
	var out bytes.Buffer
	out.WriteString("#version: 0.2\n")
	for _, m := range t.table {
		out.WriteString(m[0] + " " + m[1] + "\n")
	}
	return out.Bytes()
}

func (t *Tokenizer) configJSON() ([]byte, error) {
	c := struct {
		Class    string   `json:"tokenizer_class"`
		Start    string   `json:"bos_token"`
		End      string   `json:"eos_token"`
		Padding  string   `json:"pad_token,omitempty"`
		Unknown  string   `json:"unk_token"`
		Special  []string `json:"additional_special_tokens,omitempty"`
		Cleaning Cleaning `json:"cleaning,omitempty"`
	}{
		familyGPT2, t.roles.start, t.roles.end, t.roles.padding, t.roles.end, t.roles.others, t.cleaning,
	}
	if t.cleaning != "" {
		c.Class = familyCLIP
	}
	if t.cleaning == HuggingFace && c.Padding == "" {
		c.Padding = c.End
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(c)
	return out.Bytes(), err
}
