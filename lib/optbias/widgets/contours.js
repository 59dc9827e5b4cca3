// Contours of values on a grid.

/**
 * Add to the path the contours of `values` (n x n) at each of the levels, over the frame; ranks[k] is how many of the
 * levels lie below values[k], so that a cell whose corners have one rank is crossed by none.
 */
export function marchingSquares(context, values, ranks, n, levels, frame) {
  const width = frame.width / (n - 1), height = frame.height / (n - 1), bottom = frame.top + frame.height;
  for (let j = 0; j < n - 1; j++) {
    for (let i = 0; i < n - 1; i++) {
      const k = j * n + i, r0 = ranks[k], r1 = ranks[k + 1], r2 = ranks[k + n + 1], r3 = ranks[k + n];
      const last = Math.max(r0, r1, r2, r3);
      for (let rank = Math.min(r0, r1, r2, r3); rank < last; rank++) {
        const level = levels[rank];
        if (rank > 0 && level === levels[rank - 1]) continue; // drawn already
        const a = values[k] - level, b = values[k + 1] - level, c = values[k + n + 1] - level, d = values[k + n] - level;
        // Where the contour crosses the four sides, two by two.
        let open = false;
        for (let side = 0; side < 4; side++) {
          const p = side === 1 ? b : side === 2 ? d : a, q = side === 0 ? b : side === 3 ? d : c;
          if (p > 0 === q > 0) continue;
          const part = p / (p - q), right = side === 1 ? i + 1 : side === 3 ? i : i + part;
          const up = side === 0 ? j : side === 2 ? j + 1 : j + part;
          if (open) context.lineTo(frame.left + width * right, bottom - height * up);
          else context.moveTo(frame.left + width * right, bottom - height * up);
          open = !open;
        }
      }
    }
  }
}
