/** Anything that gives bytes in pieces: a Node stream, a Web stream, or an iterable. */
export type ByteChunks =
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | {
      getReader(): {
        read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
        cancel(reason?: unknown): Promise<void>;
      };
    };

/** The pieces, one at a time: the next is asked for only when the one before is used. Leaving the loop stops the source. */
export async function* byteChunks(source: ByteChunks): AsyncGenerator<Uint8Array> {
  if (!('getReader' in source)) {
    yield* source;
    return;
  }
  // Not every ReadableStream is an async iterable (browsers).
  const reader = source.getReader();
  let finished = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (value !== undefined) yield value;
    }
    finished = true;
  } finally {
    if (!finished) await reader.cancel();
  }
}
