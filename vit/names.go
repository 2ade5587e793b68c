package vit

import "strings"

// hfName turns the path of a layer into the name that Hugging Face's
// ViTForImageClassification gives its parameter.
func hfName(path string) string { return names.Replace(path) }

var names = strings.NewReplacer(
	"class_embedding", "vit.embeddings.cls_token",
	"position_embedding", "vit.embeddings.position_embeddings",
	"patch_embedding", "vit.embeddings.patch_embeddings.projection",
	"encoder.layers.", "vit.encoder.layer.",
	"self_attn.q_proj", "attention.attention.query",
	"self_attn.k_proj", "attention.attention.key",
	"self_attn.v_proj", "attention.attention.value",
	"self_attn.out_proj", "attention.output.dense",
	"layer_norm1", "layernorm_before",
	"layer_norm2", "layernorm_after",
	"mlp.fc1", "intermediate.dense",
	"mlp.fc2", "output.dense",
	"post_layernorm", "vit.layernorm",
)
