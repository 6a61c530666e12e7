// Two sensors that publish at 50 Hz. Every hundredth message of the oven is broken.
import { connectAsync } from 'mqtt';

export async function startSensors(url) {
  const client = await connectAsync(url);
  let i = 0;
  const timer = setInterval(() => {
    i += 1;
    const oven = i % 100 === 50 ? { celsius: 'hot' } : { celsius: 180 + 5 * Math.sin(i / 50), door: i % 500 < 20 };
    const pump = { rpm: 1450 + (i % 7), vibration: [Math.random(), Math.random(), 9.81] };
    client.publish('plant/oven', JSON.stringify(oven), { qos: 1 });
    client.publish('plant/pump', JSON.stringify(pump), { qos: 1 });
  }, 20);
  return {
    async stop() {
      clearInterval(timer);
      await client.endAsync();
    },
  };
}
