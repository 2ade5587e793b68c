// Package bpe holds the byte-pair tokenizers of CLIP and GPT-2.
//
// Text is cleaned, split into words, and every word's UTF-8 bytes become
// symbols that are merged in pairs, the pair of the lowest rank first
// (arXiv:1508.07909; arXiv:1909.03341 for bytes). CLIP lowers case, drops white
// space and marks the end of a word with </w>; GPT-2 keeps everything, a
// word's leading space included.
//
// Tables are read as they are published: vocab.json with merges.txt,
// tokenizer.json, or OpenAI's bpe_simple_vocab_16e6.txt.gz; any of them may be
// gzipped. [Load] chooses. [Train] makes a table from captions.
package bpe
