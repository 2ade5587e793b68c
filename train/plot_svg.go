package train

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Sides of a picture of curves, in pixels.
const (
	curvesWidth = 960
	panelHeight = 270
	roomLeft    = 52 // of the numbers beside a panel
	roomRight   = 24
	roomAbove   = 34 // of its name
	roomBelow   = 42 // of the steps
)

// curvesStyle colors the parts of a picture, and of no other in the same page.
// The colors stay apart for the color-blind.
const curvesStyle = `<style>
.tessera-curves { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
.tessera-curves .paper { fill: #fdfcf9; }
.tessera-curves text { fill: #6d6a63; }
.tessera-curves .title, .tessera-curves .name { fill: #1d1c1a; font-weight: 600; }
.tessera-curves .title { font-size: 17px; }
.tessera-curves .name { font-size: 13px; }
.tessera-curves .grid { stroke: #e2dfd6; shape-rendering: crispEdges; }
.tessera-curves .axis { stroke: #6d6a63; shape-rendering: crispEdges; }
.tessera-curves polyline { fill: none; stroke: #0a6aa8; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.tessera-curves .raw { stroke-width: 1; opacity: .45; }
.tessera-curves .held { stroke: #b5550b; stroke-width: 1.6; }
.tessera-curves circle { fill: #b5550b; }
@media (prefers-color-scheme: dark) {
.tessera-curves .paper { fill: #15161a; }
.tessera-curves text { fill: #9b988f; }
.tessera-curves .title, .tessera-curves .name { fill: #e8e6e1; }
.tessera-curves .grid { stroke: #2e3037; }
.tessera-curves .axis { stroke: #9b988f; }
.tessera-curves polyline { stroke: #6bb5ea; }
.tessera-curves .held { stroke: #f0a35e; }
.tessera-curves circle { fill: #f0a35e; }
}
</style>
`

// svg is a picture that is being drawn.
type svg struct{ bytes.Buffer }

// drawPanels draws panels in rows of up to three, all over the same steps.
func drawPanels(title string, all []panel) []byte {
	columns := min(3, len(all))
	if len(all) == 4 {
		columns = 2
	}
	top := 40.0
	if title != "" {
		top = 68
	}
	first, last := 0.0, 1.0
	for _, p := range all {
		for _, points := range [][]point{p.training, p.validation} {
			if n := len(points); n > 0 {
				first, last = min(first, points[0].x), max(last, points[n-1].x)
			}
		}
	}
	rows := (len(all) + columns - 1) / columns
	var s svg
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" class="tessera-curves" width="%d" height="%g" viewBox="0 0 %[1]d %[2]g" role="img" aria-label="%s">`+"\n",
		curvesWidth, top+float64(rows*panelHeight), escape(strings.TrimPrefix(title+": ", ": ")+"curves over steps"))
	s.WriteString(curvesStyle)
	fmt.Fprintf(&s, `<rect class="paper" width="100%%" height="100%%"/>`+"\n")
	if title != "" {
		if r := []rune(title); len(r) > 100 {
			title = string(r[:99]) + "…"
		}
		s.text("title", roomLeft, 32, "start", title)
	}
	s.legend(roomLeft, top-12, all)
	for i, p := range all {
		width := float64(curvesWidth) / float64(columns)
		s.panel(p, first, last, box{
			left: float64(i%columns)*width + roomLeft, right: float64(i%columns+1)*width - roomRight,
			top: top + float64(i/columns*panelHeight) + roomAbove, bottom: top + float64((i/columns+1)*panelHeight) - roomBelow,
		})
	}
	s.WriteString("</svg>\n")
	return s.Bytes()
}

// box is where a panel has its lines.
type box struct{ left, right, top, bottom float64 }

// panel draws training values pale, their smoothed line over them, and
// validation values as joined dots, over the steps from first to last.
func (s *svg) panel(p panel, first, last float64, b box) {
	scale := p.scale()
	x := func(step float64) float64 { return b.left + (step-first)/(last-first)*(b.right-b.left) }
	y := func(place float64) float64 { return b.bottom - place*(b.bottom-b.top) }
	name := strings.ReplaceAll(p.name, "_", " ")
	if scale.log {
		name += ", log scale"
	}
	s.text("name", b.left, b.top-12, "start", name)
	for _, v := range scale.marks {
		if scale.log {
			v = math.Pow(10, v)
		}
		at := y(scale.place(v))
		s.rule("grid", b.left, b.right, at, at)
		s.text("", b.left-7, at+4, "end", fmt.Sprintf("%.6g", v))
	}
	s.rule("axis", b.left, b.right, b.bottom, b.bottom)
	for _, step := range marks(first, last, max(1, nice((last-first)/5))) {
		s.rule("axis", x(step), x(step), b.bottom, b.bottom+4)
		s.text("", x(step), b.bottom+18, "middle", fmt.Sprintf("%.0f", step))
	}
	s.text("", (b.left+b.right)/2, b.bottom+35, "middle", "step")

	place := func(points []point) []point {
		out := make([]point, len(points))
		for i, q := range points {
			out[i] = point{x(q.x), y(scale.place(q.y))}
		}
		return thin(out)
	}
	if len(p.training) > 0 {
		s.line("raw", place(p.training))
		s.line("smoothed", place(smooth(p.training)))
	}
	if len(p.validation) > 0 {
		points := place(p.validation)
		s.line("held", points)
		s.dots(points)
	}
}

// legend tells the kinds of lines that panels have.
func (s *svg) legend(x, y float64, all []panel) {
	var training, validation bool
	for _, p := range all {
		training = training || len(p.training) > 0
		validation = validation || len(p.validation) > 0
	}
	entry := func(class, text string, width float64) {
		sample := []point{{x, y - 4.5}, {x + 22, y - 4.5}}
		s.line(class, sample)
		if class == "held" {
			s.dots([]point{{x + 11, y - 4.5}})
		}
		s.text("", x+29, y, "start", text)
		x += 29 + width
	}
	if training {
		entry("raw", "training", 70)
		entry("smoothed", "training, smoothed", 128)
	}
	if validation {
		entry("held", "validation", 0)
	}
}

func (s *svg) text(class string, x, y float64, anchor, text string) {
	fmt.Fprintf(s, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(text))
}

func (s *svg) rule(class string, x1, x2, y1, y2 float64) {
	fmt.Fprintf(s, `<line class="%s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", class, x1, x2, y1, y2)
}

func (s *svg) line(class string, points []point) {
	if len(points) == 1 { // drawn as a dot
		points = append(points, points[0])
	}
	fmt.Fprintf(s, `<polyline class="%s" points="`, class)
	for i, p := range points {
		if i > 0 {
			s.WriteByte(' ')
		}
		fmt.Fprintf(s, "%.1f,%.1f", p.x, p.y)
	}
	s.WriteString(`"/>` + "\n")
}

func (s *svg) dots(points []point) {
	for _, p := range points {
		fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3"/>`+"\n", p.x, p.y)
	}
}

// escape makes text part of XML; what XML cannot hold becomes a replacement.
func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}
