/** Cheaper than `expect`, for what is asked of each of a million events. */
export function must(isSo: boolean, otherwise: string | (() => string)): void {
  if (!isSo) throw new Error(typeof otherwise === 'string' ? otherwise : otherwise())
}
