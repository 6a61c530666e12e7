import { MmapDict } from '@mmdpickle/core/node';
const dict = MmapDict.open(process.argv[2]); const d=[];
const sleep=(ms)=>new Promise(r=>setTimeout(r,ms));
await sleep(300);
for (let i=0;i<600;i++){const a=process.hrtime.bigint();dict.set(`t/${a}`,1);d.push(Number(process.hrtime.bigint()-a)/1e3);await sleep(5);}
d.splice(0,300);d.sort((x,y)=>x-y);console.log('set us p50',d[150],'p90',d[270]);
