/**
 * How many entries a command is remembered for. A proposal older than this by its basis is refused, because a duplicate
 * of it could no longer be told.
 */
export const commandWindowEntries = 65_536;

/** The longest label of a client, in UTF-16 units; the door refuses a longer one. */
export const maxLabelLength = 256;
/** The longest content type, in UTF-16 units; the door refuses a longer one. */
export const maxContentTypeLength = 1024;
/** The longest tag in a precondition, its quotes included; the door refuses a longer one. */
export const maxTagLength = 16_384;
