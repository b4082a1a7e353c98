/** Stands once in each event, and nowhere else on the wire: what the readers count. */
export const mark = '^^'
