/**
 * This machine's own sensors: every Linux machine has them, so the demo runs on real input everywhere.
 * To add a sensor, add a row to {@link findSensors}.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { cpus, freemem, loadavg, totalmem } from 'node:os';

export interface Sensor {
  /** The key under which its rows are stored. */
  readonly name: string;
  readonly unit: string;
  /** The name of each number in a row. */
  readonly columns: readonly string[];
  read(): Float64Array;
}

export function findSensors(): Sensor[] {
  return [cpuTimes(), load(), memory(), networkCounters(), diskCounters()].filter((sensor) => sensor !== undefined);
}

function cpuTimes(): Sensor {
  const kinds = ['user', 'nice', 'sys', 'idle', 'irq'] as const;
  const columns = cpus().flatMap((_, core) => kinds.map((kind) => `core${core}.${kind}`));
  return {
    name: 'cpu',
    unit: 'ms since boot',
    columns,
    read: () => Float64Array.from(cpus().flatMap(({ times }) => kinds.map((kind) => times[kind]))),
  };
}

function load(): Sensor {
  return {
    name: 'load',
    unit: 'runnable tasks',
    columns: ['1min', '5min', '15min'],
    read: () => Float64Array.from(loadavg()),
  };
}

function memory(): Sensor {
  return {
    name: 'memory',
    unit: 'bytes',
    columns: ['total', 'free', 'rss'],
    read: () => Float64Array.of(totalmem(), freemem(), process.memoryUsage.rss()),
  };
}

function networkCounters(): Sensor | undefined {
  return counters({
    name: 'network',
    unit: 'bytes, packets since boot',
    path: '/proc/net/dev',
    // "eth0: 1 2 ...": 8 receive fields, then 8 transmit fields
    row: /^\s*([^\s:]+):\s*(\d+)\s+(\d+)(?:\s+\d+){6}\s+(\d+)\s+(\d+)/,
    fields: ['rx_bytes', 'rx_packets', 'tx_bytes', 'tx_packets'],
  });
}

function diskCounters(): Sensor | undefined {
  return counters({
    name: 'disk',
    unit: 'operations, 512-byte sectors since boot',
    path: '/proc/diskstats',
    // "major minor name reads merged sectors ms writes merged sectors ms ..."
    row: /^\s*\d+\s+\d+\s+(\S+)\s+(\d+)\s+\d+\s+(\d+)\s+\d+\s+(\d+)\s+\d+\s+(\d+)/,
    fields: ['reads', 'read_sectors', 'writes', 'written_sectors'],
    // Loop and RAM disks are not real devices.
    ignore: /^(loop|ram)\d/,
  });
}

interface CounterFile {
  readonly name: string;
  readonly unit: string;
  readonly path: string;
  /** First group: the device; further groups: the fields. */
  readonly row: RegExp;
  readonly fields: readonly string[];
  readonly ignore?: RegExp;
}

/** A sensor over a counter table in /proc, for the devices present when it starts. */
function counters({ name, unit, path, row, fields, ignore }: CounterFile): Sensor | undefined {
  const parse = (): Map<string, number[]> => {
    const table = new Map<string, number[]>();
    for (const line of readFileSync(path, 'latin1').split('\n')) {
      const [, device, ...values] = row.exec(line) ?? [];
      if (device !== undefined && !ignore?.test(device)) table.set(device, values.map(Number));
    }
    return table;
  };
  let devices: string[];
  try {
    devices = [...parse().keys()];
  } catch {
    // Not Linux, or /proc is hidden: this machine does not provide the sensor.
    return undefined;
  }
  if (devices.length === 0) return undefined;
  return {
    name,
    unit,
    columns: devices.flatMap((device) => fields.map((field) => `${device}.${field}`)),
    read: () => {
      const table = parse();
      // A device that went away reads as NaN, so that the columns do not shift.
      return Float64Array.from(devices.flatMap((device) => table.get(device) ?? fields.map(() => Number.NaN)));
    },
  };
}
