package main

import "github.com/spf13/cobra"

func newSearch() *cobra.Command {
	cmd := group("search", "Find images and texts with CLIP",
		`Find images and texts in an index made with a CLIP model (arXiv:2103.00020).

An index is a file of this machine, or, to grow beyond it, in servers:

  photos.tessera                             a file (SQLite; vectors are searched in memory)
  weaviate://host:8080,host:8081/Photos      a class of a Weaviate cluster
  postgres://user:password@host/db?table=t   a table of PostgreSQL with pgvector

weaviates:// speaks HTTPS; the key of a cluster is taken from the environment,
TESSERA_WEAVIATE_KEY. A new class with ?replicas=3 keeps its items three times, so
that nodes may fail. With &hnsw=true PostgreSQL searches by HNSW (arXiv:1603.09320)
and not through the whole table.`)
	cmd.AddCommand(newSearchIndex(), newSearchAdd(), newSearchDelete(), newSearchQuery(), newSearchEval(), newSearchDuplicates(), newSearchServe())
	return cmd
}
