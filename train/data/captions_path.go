package data

// Path is the file of image i, or "" if it is a part of an archive.
func (c *Captions) Path(i int) string {
	if c.items[i].size > 0 {
		return ""
	}
	return c.items[i].path
}
