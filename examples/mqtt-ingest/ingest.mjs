// Usage: node ingest.mjs [file] [--seconds n]
import { parseArgs } from 'node:util';
import { MmapDict } from '@mmdpickle/core/node';
import { appendRows, fromMqtt, stopSignals } from '@mmdpickle/rx';
import { lastValueFrom, merge, retry, share, takeUntil, timer } from 'rxjs';
import { startBroker } from './broker.mjs';
import { startSensors } from './sensors.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '10' } },
});
const path = positionals[0] ?? 'plant.mmdpickle';
const broker = await startBroker();
const dict = MmapDict.open(path);
const stop$ = merge(timer(Number(values.seconds) * 1000), stopSignals()).pipe(share());

const refused = new Map();
function capture(sensor, schema) {
  const message$ = fromMqtt(broker.url, `plant/${sensor}`, {
    schema,
    onInvalid: (error) => refused.set(error.code, (refused.get(error.code) ?? 0) + 1),
  });
  const append = appendRows(dict, sensor, { schema, records: 'columns', policy: 'drop-oldest' });
  const stream$ = message$.pipe(retry({ delay: 1000 }), takeUntil(stop$), append);
  return { append, done: lastValueFrom(stream$, { defaultValue: undefined }) };
}

const captures = {
  oven: capture('oven', { celsius: 'float32', door: 'bool' }),
  pump: capture('pump', { rpm: 'int32', vibration: { dtype: 'float32', shape: [3] } }),
};
const sensors = await startSensors(broker.url);
await Promise.all(Object.values(captures).map(({ done }) => done));
await sensors.stop();
await broker.stop();

for (const [sensor, { append }] of Object.entries(captures)) {
  const { received, written, droppedTotal, latencyMs } = append.stats();
  console.log(
    `${sensor}: ${received} received, ${written} written, ${droppedTotal} dropped, p99 ${latencyMs.p99.toFixed(2)} ms`,
  );
}
for (const [code, count] of refused) console.log(`left out: ${count} messages with ${code}`);
for (const key of dict.keys()) {
  const { dtype, shape } = dict.getMeta(key);
  console.log(`  ${key}: ${dtype} [${shape.join(', ')}]`);
}
dict.close();
console.log(`python3 -c "import pickle; d = pickle.load(open('${path}', 'rb')); print(d['oven/celsius'])"`);
