// A plain command in JavaScript: knows nothing of isx.
import { getArguments } from "wasi:cli/environment@0.2.6";
import { getStdout } from "wasi:cli/stdout@0.2.6";

export const run = {
    run() {
        const words = getArguments().slice(1);
        const text = words.map((word) => `hello, ${word}\n`).join("");
        getStdout().blockingWriteAndFlush(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
        if (words.length === 0) {
            throw undefined;
        }
    },
};
