// Numbers for people. The exact value goes into the title or stands there in full: nothing is rounded twice.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const significant = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

export function count(value) {
  return whole.format(value);
}

export function rate(value) {
  if (value === null || value === undefined) return '–';
  return value < 100 ? significant.format(value) : tenths.format(value);
}

// Nanoseconds as a length of time with its unit.
export function time(ns) {
  if (ns === null || ns === undefined) return '–';
  for (const [unit, size] of [['s', 1e9], ['ms', 1e6], ['µs', 1e3]]) {
    if (Math.abs(ns) >= size) return `${significant.format(ns / size)} ${unit}`;
  }
  return `${whole.format(ns)} ns`;
}

// Nanoseconds as minutes and seconds of a run.
export function clock(ns) {
  const seconds = Math.floor(ns / 1e9);
  const two = (part) => String(part).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

export function percent(part, of) {
  if (!of) return '0 %';
  const share = (100 * part) / of;
  return `${share > 0 && share < 0.01 ? '< 0.01' : significant.format(share)} %`;
}

export function instant(text) {
  if (!text) return '–';
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toLocaleString();
}

export function sum(counts) {
  return Object.values(counts || {}).reduce((total, more) => total + more, 0);
}
