// Scales of sliders: from a position 0 ... last to a value, and back.

import { format, three } from "./elements.js";

/** Evenly spaced values. */
export const linear = (min, max, step) => ({
  last: Math.round((max - min) / step),
  value: (k) => +(min + k * step).toPrecision(12),
  position: (x) => (x - min) / step,
});

/** From min to max, 20 values a decade; with `zero`, 0 stands below min. */
export const logarithmic = (min, max, zero = false) => {
  const count = Math.round(20 * Math.log10(max / min)), shift = zero ? 1 : 0;
  return {
    last: count + shift,
    value: (k) => (zero && k <= 0 ? 0 : three(min * 10 ** ((k - shift) / 20))),
    position: (x) => (x <= 0 ? 0 : 20 * Math.log10(x / min) + shift),
  };
};

/** A decay factor: 0 ... 1 - 10^-nines, even in the logarithm of 1 - beta, 20 values a nine. */
export const decay = (nines = 4) => ({
  last: 20 * nines,
  value: (k) => +(1 - three(10 ** (-k / 20))).toPrecision(12),
  position: (x) => -20 * Math.log10(1 - x),
});

/** An axis on which decay factors lie as on their slider: where one lies, the one there, its digits, and ticks. */
export const nines = {
  at: (beta) => -Math.log10(1 - beta),
  value: (x) => +(1 - three(10 ** -x)).toPrecision(12),
  show: (beta) => (beta < 1 ? String(nines.value(nines.at(beta))) : format(beta)), // three digits of 1 - beta
  ticks: ["0", "0.5", "0.9", "0.99", "0.999", "0.9999"].map((text) => [-Math.log10(1 - text), text]),
};
