// SPDX-License-Identifier: MIT
// The work of bench/real/node; prints a checksum. Argument: rounds.
'use strict';
const zlib = require('zlib');

let state = 42;
function draw(below) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
}

const kept = new Map();
let check = 0;
for (let round = 0; round < Number(process.argv[2]); round++) {
    const records = [];
    for (let i = 0; i < 500; i++)
        records.push({ id: i, name: 'user' + draw(100000),
            tags: [draw(9), draw(9)] });
    const text = JSON.stringify(records);
    const packed = zlib.gzipSync(Buffer.from(text), { level: 1 });
    const again = JSON.parse(zlib.gunzipSync(packed).toString());
    for (let i = 0; i < 200; i++)
        kept.set(draw(2000), Buffer.alloc(100 + draw(20000), i));
    check = (check * 31 + packed.length + again.length) % 1000003;
}
console.log(check);
