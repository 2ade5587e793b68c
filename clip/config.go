package clip

import (
	"encoding/json"

	"github.com/pkg/errors"

	"tessera/layers/config"
)

// Config has the keys of a published config.json. The initial bias of the
// logits is our own key: there is one, as the sigmoid loss wants it, where the
// key is.
type Config struct {
	Architectures []string     `json:"architectures"`
	ModelType     string       `json:"model_type"`
	ProjectionDim int          `json:"projection_dim"`                  // E
	LogitScale    float64      `json:"logit_scale_init_value"`          // natural logarithm of the factor
	LogitBias     *float64     `json:"logit_bias_init_value,omitempty"` // nil: none
	Text          TextConfig   `json:"text_config"`
	Vision        VisionConfig `json:"vision_config"`
}

// TextConfig sizes the text tower.
type TextConfig struct {
	ModelType        string  `json:"model_type,omitempty"`
	Vocabulary       int     `json:"vocab_size"`              // V
	Context          int     `json:"max_position_embeddings"` // most tokens of a text
	HiddenSize       int     `json:"hidden_size"`             // D
	Intermediate     int     `json:"intermediate_size"`       // hidden units of the MLP
	Layers           int     `json:"num_hidden_layers"`
	Heads            int     `json:"num_attention_heads"`
	HiddenAct        string  `json:"hidden_act"`
	LayerNormEps     float64 `json:"layer_norm_eps"`
	AttentionDropout float64 `json:"attention_dropout,omitempty"` // 0 ≤ p < 1
	ProjectionDim    int     `json:"projection_dim"`
	BOS              int     `json:"bos_token_id"`
	EOS              int     `json:"eos_token_id"` // see End
}

// VisionConfig sizes the vision tower.
type VisionConfig struct {
	ModelType        string  `json:"model_type,omitempty"`
	ImageSize        int     `json:"image_size"` // pixels, square
	PatchSize        int     `json:"patch_size"` // pixels, square
	Channels         int     `json:"num_channels"`
	HiddenSize       int     `json:"hidden_size"`       // D
	Intermediate     int     `json:"intermediate_size"` // hidden units of the MLP
	Layers           int     `json:"num_hidden_layers"`
	Heads            int     `json:"num_attention_heads"`
	HiddenAct        string  `json:"hidden_act"`
	LayerNormEps     float64 `json:"layer_norm_eps"`
	AttentionDropout float64 `json:"attention_dropout,omitempty"` // 0 ≤ p < 1
	ProjectionDim    int     `json:"projection_dim"`
}

// The tokens of the published vocabulary.
const (
	vocabulary = 49408
	startToken = 49406
	endToken   = 49407
)

// defaults are the values of Hugging Face's CLIPConfig: ViT-B/32.
func defaults() Config {
	return Config{
		Architectures: []string{"CLIPModel"}, ModelType: "clip",
		ProjectionDim: 512, LogitScale: 2.6592, Text: textDefaults(), Vision: visionDefaults(),
	}
}

func textDefaults() TextConfig {
	return TextConfig{
		ModelType: "clip_text_model", Vocabulary: vocabulary, Context: 77,
		HiddenSize: 512, Intermediate: 2048, Layers: 12, Heads: 8,
		HiddenAct: "quick_gelu", LayerNormEps: 1e-5, ProjectionDim: 512, BOS: startToken, EOS: endToken,
	}
}

func visionDefaults() VisionConfig {
	return VisionConfig{
		ModelType: "clip_vision_model", ImageSize: 224, PatchSize: 32, Channels: 3,
		HiddenSize: 768, Intermediate: 3072, Layers: 12, Heads: 12,
		HiddenAct: "quick_gelu", LayerNormEps: 1e-5, ProjectionDim: 512,
	}
}

// Grid is the number of patches along a side.
func (c VisionConfig) Grid() int { return c.ImageSize / c.PatchSize }

// Tokens is the number of tokens, the class token included.
func (c VisionConfig) Tokens() int { return 1 + c.Grid()*c.Grid() }

// legacyEOS stands in configurations published before the end token was a
// setting: the end is then the token of the greatest id.
const legacyEOS = 2

// End is the index of the token whose output stands for the text: the first
// end token or, in configurations published with eos_token_id 2, the first of
// the greatest id. Without an end token it is 0, as in the published code. ids
// may not be empty.
func (c TextConfig) End(ids []int) int {
	end := 0
	for i, id := range ids {
		switch {
		case c.EOS == legacyEOS && id > ids[end]:
			end = i
		case c.EOS != legacyEOS && id == c.EOS:
			return i
		}
	}
	return end
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults config.Faults
	faults.If(c.ModelType != "clip", "model_type is %q, want \"clip\"", c.ModelType)
	faults.Size("projection_dim", c.ProjectionDim, 1, config.Largest)
	faults.Under("text_config", c.Text.faults())
	faults.Under("vision_config", c.Vision.faults())
	return faults.Err("clip")
}

func (c TextConfig) faults() config.Faults {
	var faults config.Faults
	faults.Size("vocab_size", c.Vocabulary, 1, config.Largest)
	faults.Size("max_position_embeddings", c.Context, 1, config.Largest)
	checkTower(&faults, c.HiddenSize, c.Intermediate, c.Layers, c.Heads, c.HiddenAct, c.LayerNormEps, c.AttentionDropout)
	faults.If(c.EOS < 0 || c.EOS >= c.Vocabulary, "eos_token_id is %d in a vocabulary of %d", c.EOS, c.Vocabulary)
	return faults
}

func (c VisionConfig) faults() config.Faults {
	var faults config.Faults
	faults.Size("image_size", c.ImageSize, 1, config.Largest)
	faults.Size("patch_size", c.PatchSize, 1, config.Largest)
	faults.Size("num_channels", c.Channels, 1, config.Largest)
	checkTower(&faults, c.HiddenSize, c.Intermediate, c.Layers, c.Heads, c.HiddenAct, c.LayerNormEps, c.AttentionDropout)
	faults.If(c.PatchSize > c.ImageSize || (c.PatchSize > 0 && c.ImageSize%c.PatchSize != 0),
		"patch_size %d does not divide image_size %d", c.PatchSize, c.ImageSize)
	return faults
}

func checkTower(faults *config.Faults, width, inner, layers, heads int, act string, eps, dropout float64) {
	faults.Size("hidden_size", width, 1, config.Largest)
	faults.Size("intermediate_size", inner, 1, config.Largest)
	faults.Size("num_hidden_layers", layers, 1, config.Largest)
	faults.Size("num_attention_heads", heads, 1, config.Largest)
	faults.If(heads > 0 && width%heads != 0, "num_attention_heads %d does not divide hidden_size %d", heads, width)
	faults.If(!(eps > 0), "layer_norm_eps is %g, want more than 0", eps)
	faults.Probability("attention_dropout", dropout)
	faults.Activation("hidden_act", act)
}

// ReadConfig reads and validates a config.json. Keys that are missing have the
// values of Hugging Face's CLIPConfig.
func ReadConfig(path string) (Config, error) { return config.Read(path, ParseConfig) }

// ParseConfig is ReadConfig of the contents of a file. Where early files give a
// tower twice, text_config_dict and vision_config_dict count.
func ParseConfig(text []byte) (Config, error) {
	c := defaults()
	c.ModelType, c.Architectures = "", nil
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, errors.WithStack(err)
	}
	var early struct {
		Text   json.RawMessage `json:"text_config_dict"`
		Vision json.RawMessage `json:"vision_config_dict"`
	}
	if err := json.Unmarshal(text, &early); err != nil {
		return Config{}, errors.WithStack(err)
	}
	if given(early.Text) {
		c.Text = textDefaults()
		if err := json.Unmarshal(early.Text, &c.Text); err != nil {
			return Config{}, errors.Wrap(err, "text_config_dict")
		}
	}
	if given(early.Vision) {
		c.Vision = visionDefaults()
		if err := json.Unmarshal(early.Vision, &c.Vision); err != nil {
			return Config{}, errors.Wrap(err, "vision_config_dict")
		}
	}
	return c, c.Validate()
}

// given tells whether a key is there and not null.
func given(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

// Write writes a config.json, atomically.
func (c Config) Write(path string) error {
	c.ModelType, c.Architectures = "clip", []string{"CLIPModel"}
	c.Text.ModelType, c.Text.ProjectionDim = "clip_text_model", c.ProjectionDim
	c.Vision.ModelType, c.Vision.ProjectionDim = "clip_vision_model", c.ProjectionDim
	return config.Write(path, c)
}
