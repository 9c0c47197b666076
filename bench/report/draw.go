package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes of a chart, in points.
const (
	chartWidth  = 680
	panelHeight = 300
	titleHeight = 34
	margin      = 14
	textSize    = 12
	titleSize   = 14
)

// palette tells lines apart for the colour-blind as well (Okabe and Ito, without its yellow, which white drowns). Lines
// beyond it begin anew, dashed.
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x33, 0x33, 0x33, 0xff},
}

var dark = color.Gray{0x22}

// draw makes the picture. Legends stand beside their panels, where no line can cross them.
func (c *Chart) draw() ([]byte, error) {
	height := vg.Length(len(c.panels)*panelHeight + titleHeight + margin)
	svg := vgsvg.New(chartWidth, height)
	page := draw.New(svg)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())

	plots := make([][]*plot.Plot, len(c.panels))
	legend := vg.Length(0)
	for i := range c.panels {
		p, err := c.panels[i].plot()
		if err != nil {
			return nil, err
		}
		plots[i] = []*plot.Plot{p}
		legend = max(legend, p.Legend.Rectangle(page).Size().X*fallbackWidth)
	}
	legend = min(legend, chartWidth/2)
	title := style(titleSize)
	if wide := title.Width(c.Title) * fallbackWidth / (chartWidth - 2*margin); wide > 1 {
		title = style(titleSize / wide)
	}
	page.FillText(title, vg.Point{X: margin, Y: height - margin - titleSize}, c.Title)
	area := draw.Crop(page, margin, -2*margin-legend, margin, -titleHeight)
	for i, row := range plot.Align(plots, draw.Tiles{Rows: len(plots), Cols: 1, PadY: margin}, area) {
		p := plots[i][0]
		beside := draw.Canvas{Canvas: page.Canvas, Rectangle: row[0].Rectangle}
		beside.Min.X, beside.Max.X = area.Max.X+margin, page.Max.X
		p.Legend.Draw(beside)
		p.Legend = plot.NewLegend() // Draw would put it into the panel
		p.Draw(row[0])
	}
	var out bytes.Buffer
	if _, err := svg.WriteTo(&out); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// fallbackWidth is how much wider texts may be where Liberation Sans, by which they are measured, is missing.
const fallbackWidth = 1.15

// style is of all texts.
func style(size vg.Length) text.Style {
	face := font.DefaultCache.Lookup(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
	return text.Style{Color: dark, Font: face.Font, Handler: plot.DefaultTextHandler}
}

// plot makes the axes and lines of a panel.
func (p *panel) plot() (*plot.Plot, error) {
	to := plot.New()
	to.BackgroundColor = nil
	to.Legend.Top, to.Legend.Left = true, true
	to.Legend.Padding = 4
	to.Legend.TextStyle = style(textSize)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xcc}, color.Gray{0xdd}
	to.Add(grid)
	for i := range p.lines {
		shift := 0.0
		if len(p.categories) > 0 { // beside each other, so that every spread can be seen
			shift = categoryShift * (float64(i) - float64(len(p.lines)-1)/2)
		}
		if err := p.lines[i].addTo(to, i, shift); err != nil {
			return nil, err
		}
	}
	p.x.set(&to.X)
	p.y.set(&to.Y)
	if len(p.categories) > 0 {
		to.NominalX(p.categories...)
		to.X.Min, to.X.Max = -0.2, float64(len(p.categories))-0.8
		to.X.Width, to.X.Padding = to.Y.Width, to.Y.Padding
	}
	return to, nil
}

// categoryShift is how far lines lie apart where x is a category.
const categoryShift = 0.025

// addTo draws the line as the i-th.
func (l *line) addTo(to *plot.Plot, i int, shift float64) error {
	points := make(plotter.XYs, len(l.xs))
	for k := range points {
		points[k] = plotter.XY{X: l.xs[k] + shift, Y: l.ys[k]}
	}
	drawn, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	colour := palette[i%len(palette)]
	drawn.Color, drawn.Width = colour, 1.8
	if i >= len(palette) {
		drawn.Dashes = []vg.Length{5, 3}
	}
	to.Add(drawn)
	if !l.dots {
		to.Legend.Add(l.name, drawn)
		return nil
	}
	dots.Shape, dots.Color, dots.Radius = draw.CircleGlyph{}, colour, 3
	bars, err := plotter.NewYErrorBars(l.spread(points))
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	bars.Color, bars.Width = colour, 0.8
	to.Add(bars, dots)
	to.Legend.Add(l.name, drawn, dots)
	return nil
}

// spread returns the points with the least and the greatest of their rounds. A logarithm knows no 0.
func (l *line) spread(points plotter.XYs) withSpread {
	s := withSpread{XYs: points, YErrors: make(plotter.YErrors, len(points))}
	for k, point := range points {
		if l.low[k] > 0 {
			s.YErrors[k].Low = point.Y - l.low[k]
		}
		s.YErrors[k].High = l.high[k] - point.Y
	}
	return s
}

type withSpread struct {
	plotter.XYs
	plotter.YErrors
}

// set gives an axis its title, range and ticks; the lines are in it already.
func (a *axis) set(to *plot.Axis) {
	to.Label.Text, to.Label.TextStyle, to.Tick.Label = a.title, withAlign(style(textSize), to.Label.TextStyle), withAlign(style(textSize), to.Tick.Label)
	to.Label.Padding = 4
	to.Color, to.Tick.Color = dark, dark
	if !a.log {
		to.Min = min(to.Min, 0)
		if to.Max *= 1.05; to.Max <= to.Min {
			to.Max = to.Min + 1
		}
		to.Tick.Marker = plot.TickerFunc(linearTicks)
		return
	}
	to.Scale = plot.LogScale{}
	to.Min, to.Max = to.Min/1.25, to.Max*1.25
	to.Tick.Marker = plot.TickerFunc(a.logTicks)
}

// withAlign returns s where like stands.
func withAlign(s, like text.Style) text.Style {
	s.XAlign, s.YAlign, s.Rotation = like.XAlign, like.YAlign, like.Rotation
	return s
}

// linearTicks stand at multiples of 1, 2 or 5 times a power of ten, four to ten of them.
func linearTicks(from, to float64) (ticks []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/4)))
	for _, times := range []float64{5, 2} {
		if (to-from)/(times*step) >= 4 {
			step *= times
			break
		}
	}
	for n := math.Ceil(from / step); n*step <= to; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: tickText(n * step)})
	}
	return ticks
}

// logTicks names 1, 2 and 5 of each power of ten, or only 1 where there are many; or those that are given.
func (a *axis) logTicks(from, to float64) (ticks []plot.Tick) {
	for _, v := range a.ticks {
		ticks = append(ticks, plot.Tick{Value: v, Label: tickText(v)})
	}
	if len(ticks) > 0 {
		return ticks
	}
	first, last := math.Floor(math.Log10(from)), math.Ceil(math.Log10(to))
	for power := first; power <= last; power++ {
		for digit := 1.0; digit < 10; digit++ {
			tick := plot.Tick{Value: digit * math.Pow(10, power)}
			if tick.Value < from || tick.Value > to {
				continue
			}
			if digit == 1 || (digit == 2 || digit == 5) && last-first <= 3 {
				tick.Label = tickText(tick.Value)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// tickText writes a figure of an axis, and a space that keeps wider texts than the measured ones off it.
func tickText(v float64) string {
	unit := ""
	switch {
	case v >= 1e6:
		v, unit = v/1e6, "M"
	case v >= 1e4:
		v, unit = v/1e3, "k"
	}
	return humanize.Commaf(math.Round(v*1e4)/1e4) + unit + " "
}
