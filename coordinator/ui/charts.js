// Charts over the seconds of a run: drawn on a canvas, with a sentence, a cursor for keys and a table beside it.

import { draw, fill, say } from './draw.js';
import { clock } from './units.js';

const GROUP = window.uPlot.sync('run');
const charts = new Set();

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Lines differ by dashes as well as by colour.
const DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3], [1, 4], [12, 4]];

// title; series: [name, point => value, format]; log: a logarithmic scale.
export class Chart {
  constructor(title, series, { log = false, format } = {}) {
    this.title = title;
    this.series = series;
    this.log = log;
    this.format = format;
    this.points = [];
    this.place = draw('div', { class: 'canvas', tabindex: '0', role: 'img', 'aria-label': title,
      onkeydown: (event) => this.key(event) });
    this.sentence = draw('p', { class: 'sentence' });
    this.rows = draw('tbody');
    const heads = ['second', ...series.map(([name]) => name)].map((name, index) =>
      draw('th', { scope: 'col', class: index > 0 && 'number' }, name));
    this.twin = draw('details', { ontoggle: () => this.tabulate() }, draw('summary', {}, 'As a table'),
      draw('div', { class: 'scroll tall', tabindex: '0', role: 'region', 'aria-label': `${title}, as a table` },
        draw('table', {}, draw('thead', {}, draw('tr', {}, heads)), this.rows)));
    this.element = draw('figure', { class: 'chart' }, draw('figcaption', {}, title), this.place, this.sentence, this.twin);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.place);
    charts.add(this);
  }

  data() {
    const values = this.series.map(([, value]) => this.points.map((point) => {
      const one = value(point);
      // Nothing on a logarithmic scale is where nothing was measured.
      return one === null || one === undefined || (this.log && one <= 0) ? null : one;
    }));
    return [this.points.map((point) => point.second), ...values];
  }

  show(points) {
    this.points = points;
    if (this.plot) this.plot.setData(this.data());
    else this.resize();
    const last = points[points.length - 1];
    const told = last ? this.told(last) : 'no second is complete yet';
    this.sentence.textContent = `At ${last ? clock(last.second * 1e9) : '00:00'}: ${told}.`;
    if (this.twin.open) this.tabulate();
  }

  told(point) {
    return this.series.map(([name, value]) => `${name} ${this.format(value(point))}`).join(', ');
  }

  tabulate() {
    if (!this.twin.open) return;
    const latest = this.points.slice(-600).reverse();
    fill(this.rows, latest.map((point) => draw('tr', {}, draw('td', {}, clock(point.second * 1e9)),
      this.series.map(([, value]) => draw('td', { class: 'number' }, this.format(value(point)))))));
  }

  // Arrow keys move the cursor and say what is under it.
  key(event) {
    const last = this.points.length - 1;
    if (!this.plot || last < 0) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const now = this.plot.cursor.idx ?? last;
    const index = Math.min(last, Math.max(0, now + step));
    const point = this.points[index];
    this.plot.setCursor({ left: this.plot.valToPos(point.second, 'x'), top: 10 });
    say(`${clock(point.second * 1e9)}: ${this.told(point)}`);
  }

  resize() {
    const width = this.place.clientWidth;
    if (width === 0) return;
    if (this.plot) this.plot.setSize({ width, height: 220 });
    else this.build(width);
  }

  build(width) {
    const axis = { stroke: style('--ink'), grid: { stroke: style('--line'), width: 1 }, ticks: { stroke: style('--line') } };
    const lines = this.series.map(([label], index) => ({
      label,
      stroke: style(`--series-${index + 1}`),
      width: 2,
      dash: DASHES[index],
      points: { show: false },
      value: (_, value) => this.format(value),
    }));
    const options = {
      width,
      height: 220,
      cursor: { sync: { key: GROUP.key } },
      scales: { x: { time: false }, y: this.log ? { distr: 3 } : { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => clock(tick * 1e9)) },
        { ...axis, size: 78, values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : this.format(tick))) },
      ],
      series: [{ label: 'second', value: (_, value) => (value === null ? '–' : clock(value * 1e9)) }, ...lines],
    };
    this.plot = new window.uPlot(options, this.data(), this.place);
  }

  // Colours are read when a plot is built, so another theme takes another plot.
  again() {
    this.plot?.destroy();
    this.plot = undefined;
    this.resize();
  }

  close() {
    this.watcher.disconnect();
    this.plot?.destroy();
    charts.delete(this);
  }
}

export function repaint() {
  charts.forEach((chart) => chart.again());
}
