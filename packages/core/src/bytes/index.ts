/** Numbers and text in byte arrays. @module */

export { ByteReader } from './byte-reader.ts';
export { ByteWriter } from './byte-writer.ts';
export { decodeInteger, encodeInteger, narrowInteger } from './integers.ts';
export { type JsonToken, jsonTokens, parseJson } from './json.ts';
export {
  decodeLatin1,
  decodeUtf8,
  encodeLatin1,
  encodeUtf8,
  encodeUtf8Into,
  hasSurrogatePair,
  isText,
} from './utf8.ts';
export { newBytes, viewBytes } from './view-bytes.ts';
