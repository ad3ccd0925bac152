// SPDX-License-Identifier: MIT
//
// worker.js - a web server whose answers are computed by worker threads.
//
//     worker.js PORT        serve GET /work/N
//     worker.js print N...  print the same answers
'use strict';
const crypto = require('crypto');
const http = require('http');
const threads = require('worker_threads');
const zlib = require('zlib');

// The same numbers for the same seed.
function numbers(seed, count) {
    const result = new Float64Array(count);
    for (let i = 0; i < count; i++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        result[i] = seed / 4294967296;
    }
    return result;
}

function compute(seed) {
    const values = numbers(seed, 1500);
    const tree = {values: Array.from(values), words: {}};
    for (const value of values)
        tree.words[`word ${Math.floor(value * 900)}`] =
            'n'.repeat(value * 300);
    const text = JSON.stringify(tree);
    if (JSON.stringify(JSON.parse(text)) !== text)
        throw new Error('JSON changed on its way');
    for (const [pack, unpack] of [[zlib.gzipSync, zlib.gunzipSync],
        [zlib.brotliCompressSync, zlib.brotliDecompressSync]]) {
        const options = {params: {[zlib.constants.BROTLI_PARAM_QUALITY]: 4}};
        if (unpack(pack(text, options)).toString() !== text)
            throw new Error('compression changed the text');
    }
    const key = crypto.scryptSync('merlon', String(seed), 32, {N: 1024});
    const cipher = crypto.createCipheriv('aes-256-gcm', key, key.slice(0, 12));
    const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
    return crypto.createHash('sha256').update(sealed).digest('hex');
}

// Two threads, a part each. Buffers go there and come back changed.
async function answer(number) {
    const parts = [0, 1].map((part) => new Promise((done, failed) => {
        const buffer = new Uint8Array(500000).fill(part + 1);
        const worker = new threads.Worker(__filename, {
            workerData: {seed: number * 4 + part + 1, buffer},
            transferList: [buffer.buffer],
        });
        let result;
        worker.on('message', (message) => { result = message; });
        worker.on('error', failed);
        worker.on('exit', () => {
            if (result && result.buffer.every((byte) => byte === part + 2))
                done(result.digest);
            else
                failed(new Error('a thread lost its buffer'));
        });
    }));
    return `${number} ${(await Promise.all(parts)).join(' ')}\n`;
}

if (!threads.isMainThread) {
    const {seed, buffer} = threads.workerData;
    for (let i = 0; i < buffer.length; i++)
        buffer[i] += 1;
    threads.parentPort.postMessage({digest: compute(seed), buffer},
        [buffer.buffer]);
} else if (process.argv[2] === 'print') {
    Promise.all(process.argv.slice(3).map((number) => answer(Number(number))))
        .then((texts) => process.stdout.write(texts.join('')));
} else {
    http.createServer((request, response) => {
        answer(Number(request.url.split('/').pop())).then(
            (text) => response.end(text),
            (error) => { response.statusCode = 500; response.end(String(error)); });
    }).listen(Number(process.argv[2]), '127.0.0.1');
}
