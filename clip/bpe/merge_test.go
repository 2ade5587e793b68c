package bpe

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// joinAll joins the pair's occurrences from left to right.
func joinAll(parts []string, p [2]string) []string {
	var joined []string
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == p[0] && parts[i+1] == p[1] {
			joined = append(joined, p[0]+p[1])
			i++
			continue
		}
		joined = append(joined, parts[i])
	}
	return joined
}

// randomMerges are over the symbols a, b, c and what they join to. Tokens that
// can be made in two ways, out of order, are among them.
func randomMerges(rng *rand.Rand) (tokens []string, table [][2]string) {
	tokens = []string{"a", "b", "c"}
	for range rng.IntN(30) {
		m := [2]string{tokens[rng.IntN(len(tokens))], tokens[rng.IntN(len(tokens))]}
		if slices.Contains(table, m) {
			continue
		}
		table = append(table, m)
		if !slices.Contains(tokens, m[0]+m[1]) {
			tokens = append(tokens, m[0]+m[1])
		}
	}
	rng.Shuffle(len(table), func(i, j int) { table[i], table[j] = table[j], table[i] })
	return tokens, table
}

func TestMergesEqualTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		tokens, table := randomMerges(rng)
		m := merges{}
		id := func(s string) int32 { return int32(slices.Index(tokens, s)) }
		for rank, p := range table {
			m[pair{id(p[0]), id(p[1])}] = merge{int32(rank), id(p[0] + p[1])}
		}
		var ids []int32
		var parts []string
		for range rng.IntN(shortWord + 1) {
			ids = append(ids, int32(rng.IntN(3)))
			parts = append(parts, tokens[ids[len(ids)-1]])
		}
		for i := 0; i < len(table); i++ {
			if joined := joinAll(parts, table[i]); len(joined) < len(parts) {
				parts, i = joined, -1 // start again at the lowest rank
			}
		}
		var want []int32
		for _, p := range parts {
			want = append(want, id(p))
		}
		short, long := m.applyShort(slices.Clone(ids)), m.applyLong(slices.Clone(ids))
		if !slices.Equal(short, want) || !slices.Equal(long, want) {
			t.Fatalf("merges %v of %v give %v, by heap %v, want %v", table, ids, short, long, want)
		}
	}
}

func TestLongWordsTakeNoSquareOfTime(t *testing.T) {
	tok := loadFixture(t, "clip")
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = 'a'
	}
	ids := tok.Encode(string(text))
	if got := tok.Decode(ids); got != string(text) {
		t.Errorf("a word of %d letters comes back as one of %d", len(text), len(got))
	}
	if want := 2 + len(text)/8 + 1; len(ids) != want { // of aaaaaaaa, but the last as aaaa and aaaa</w>
		t.Errorf("%d ids, want %d", len(ids), want)
	}
}
