/** A part of the page that did not load: the server is unreachable, or has been upgraded and has other file names. */
export class ChunkError extends Error {}
