/** Text as words and marks. A token keeps the blank before it, so that joining tokens gives the text back. */

// In turn: inline code, a word (with its dots, hyphens and apostrophes), a number, any other mark.
const tokenPattern =
  / ?(?:`[^`]+`|[\p{L}_$][\p{L}\p{N}_$]*(?:[.'’-][\p{L}\p{N}_$]+)*|\p{N}+(?:[.,]\p{N}+)*|[^\s])/gu

export function toTokens(text: string): string[] {
  return text.match(tokenPattern) ?? []
}

/** The words that say what a text is about: lower case, singular where that is easy to see, without small words. */
export function toKeywords(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) ?? []
  return words.filter(word => !smallWords.has(word)).map(word => word.replace(/(?<=..[^s])s$/, ''))
}

const smallWords = new Set(
  (
    'a about again all am an and any are as at be because been but by can could did do does doing don done each else ' +
    'ever every explain few for from get give got had has have how however if in into is it its just know let like ' +
    'many may me mean might more most much must my need no not now of on once one only or other our out over please ' +
    'say she he should show so some such tell than that the their them then there these they thing think this those ' +
    'to too two up us use used using very want was way we well were what when where whether which while who whose ' +
    'why will with work would write you your happen return default also true false null undefined set'
  ).split(' '),
)
