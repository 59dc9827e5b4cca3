// What each rule is made of, as in optbias.theory.family.SLOTS (tests/widgets/test_slots.py holds the two together).

/** The places, in their order: the key that Python uses, and what the reader sees. */
export const PLACES = [
  ["first", "first memory"], ["second", "second memory"], ["order", "order"], ["direction", "direction"],
  ["decay", "weight decay"], ["eps", "place of ε"], ["bias", "bias correction"],
];

/** Each rule's words, one for each place. */
export const TABLE = {
  GradientDescent: ["–", "–", "–", "g", "coupled", "–", "–"],
  Momentum: ["average or sum of g", "–", "–", "m", "coupled", "–", "–"],
  SignGD: ["–", "–", "–", "sign g", "decoupled, × η", "–", "–"],
  Signum: ["average of g", "–", "average, then sign", "sign m", "decoupled, × η", "–", "–"],
  Lion: ["average of g, mixed with g", "–", "average, then sign", "sign", "decoupled, × η", "–", "–"],
  Muon: ["average of g, ahead", "–", "average, then orthogonalise", "UVᵀ", "decoupled, × η", "–", "–"],
  AdaGrad: ["–", "sum of g²", "–", "g / √s", "–", "beside the root", "–"],
  RMSProp: ["–", "average of g²", "–", "g / √v", "–", "beside the root", "none"],
  Adadelta: ["–", "average of g²", "–", "g √d / √v", "coupled", "under both roots", "none"],
  Rprop: ["–", "–", "–", "own step · sign g", "–", "–", "–"],
  Adam: ["average of g", "average of g²", "average, then divide", "m / √v", "coupled", "beside the root", "both"],
  AMSGrad: [
    "average of g", "largest average of g²", "average, then divide", "m / √v", "coupled", "beside the root", "both",
  ],
  AdamW: [
    "average of g", "average of g²", "average, then divide", "m / √v", "decoupled, × η", "beside the root", "both",
  ],
  NAdam: [
    "average of g, ahead", "average of g²", "average, then divide", "m / √v", "coupled", "beside the root", "both, μ-schedule",
  ],
  RAdam: [
    "average of g", "average of g², rectified", "average, then divide", "m / √v", "coupled", "beside the raw root", "both",
  ],
  Adamax: [
    "average of g", "decaying maximum of |g|", "average, then divide", "m / u", "coupled", "inside the maximum", "m",
  ],
  AdaBelief: [
    "average of g", "average of (g−m)²", "average, then divide", "m / √s", "decoupled, × η", "in s and beside", "both",
  ],
  Yogi: ["average of g", "additive v", "average, then divide", "m / √v", "decoupled, × η", "beside the root", "both"],
  LaProp: [
    "average of g/√v", "average of g²", "divide, then average", "m", "decoupled, × η", "beside the root", "both",
  ],
  ADOPT: [
    "average of g/√v₋", "average of g², one step late", "divide, then average", "m", "decoupled, × η", "floor of the root", "none",
  ],
  AdEMAMix: [
    "fast and slow average of g", "average of g²", "average, then divide", "(m + αs) / √v", "decoupled, × η", "beside the root", "m and v",
  ],
  CautiousAdamW: [
    "average of g", "average of g²", "average, then divide", "m / √v where m g > 0", "decoupled, × η", "beside the root", "both",
  ],
  LARS: ["sum of steps", "–", "scale, then sum", "‖θ‖ g / ‖g‖", "coupled, scaled", "beside ‖g‖", "–"],
  LAMB: [
    "average of g", "average of g²", "average, divide, scale", "‖θ‖ u / ‖u‖", "inside the step", "beside the root", "both",
  ],
  AdamMini: [
    "average of g", "average of mean g² by row", "average, then divide", "m / √v", "decoupled, × η", "beside the root", "both",
  ],
  Adafactor: [
    "–", "row and column means of g²", "divide, then clip", "g / √V, clipped", "decoupled, × η", "floor of V", "by γ_t",
  ],
  Shampoo: ["–", "sums of GGᵀ and GᵀG", "–", "L^(−¼) G R^(−¼)", "decoupled, × η", "in L and R", "–"],
  SOAP: [
    "average of G", "average of G′² in the basis", "average, turn, divide", "Q (m′/√v) Qᵀ", "decoupled, × η", "beside the root", "both",
  ],
  ASGD: ["–", "–", "–", "g", "λ and coupled", "–", "–"],
  ScheduleFreeSGD: ["mean of iterates", "–", "–", "g at y", "at y", "–", "–"],
  ScheduleFreeAdamW: ["mean of iterates", "average of g²", "–", "g / √v at y", "at y", "beside the root", "v"],
};

/** The words that fill place i, in the table's order. */
export const words = (i) => [...new Set(Object.values(TABLE).map((row) => row[i]))];

/** The words of a rule as {first: ..., second: ...}. */
export const slotsOf = (name) => Object.fromEntries(PLACES.map(([key], i) => [key, TABLE[name][i]]));

/** The places in which a rule differs from `slots`; an empty word stands for any. */
export const differing = (name, slots) =>
  PLACES.filter(([key], i) => slots[key] && slots[key] !== TABLE[name][i]).map(([key]) => key);

/** The rules that fill the places so, in the table's order. */
export const matching = (slots) => Object.keys(TABLE).filter((name) => differing(name, slots).length === 0);

/** The rule that differs in the fewest places, the first of them. */
export const nearest = (slots) => {
  const names = Object.keys(TABLE), counts = names.map((name) => differing(name, slots).length);
  return names[counts.indexOf(Math.min(...counts))];
};
