import { MmdError } from '@mmdpickle/core';
import { wrongArgument } from '@mmdpickle/core/options';
import { Turns } from '@mmdpickle/core/turns';

/** Anything that yields bytes in pieces: a Node stream, a Web stream, or an iterable. */
export type ByteChunks =
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | {
      getReader(): {
        read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
        cancel(reason?: unknown): Promise<void>;
      };
    };

/** Yields the pieces one at a time: the next is requested only when the previous one is used. Leaving the loop stops the source. */
export async function* byteChunks(source: ByteChunks): AsyncGenerator<Uint8Array> {
  if (
    typeof source !== 'object' ||
    source === null ||
    !('getReader' in source || Symbol.asyncIterator in source || Symbol.iterator in source)
  )
    throw wrongArgument('the source', 'a stream or an iterable of Uint8Arrays', source);
  const turns = new Turns();
  for await (const chunk of piecesOf(source)) {
    yield bytesOf(chunk);
    // Node reads a full pipe 32 times before it runs anything else.
    if (turns.due) await turns.take();
  }
}

async function* piecesOf(source: ByteChunks): AsyncGenerator<Uint8Array> {
  if (!('getReader' in source)) {
    yield* source;
    return;
  }
  // In some browsers a ReadableStream is not async iterable.
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

/** @throws MmdError INVALID_ARGUMENT for anything else */
function bytesOf(chunk: unknown): Uint8Array {
  // Not `instanceof`: each realm has a class of its own.
  if (Object.prototype.toString.call(chunk) === '[object Uint8Array]') return chunk as Uint8Array;
  const found = typeof chunk;
  const hint = found === 'string' ? ': do not set an encoding for the stream' : '';
  throw new MmdError('INVALID_ARGUMENT', `the source must yield Uint8Arrays; found ${found}${hint}`, {
    expected: 'a Uint8Array',
    found,
  });
}
