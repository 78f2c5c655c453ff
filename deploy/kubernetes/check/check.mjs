// node check.mjs FILE.json: holds a list of Kubernetes objects against the published API schema. The validators of
// kubernetes-models find wrong types and what is missing; as literals of its types, TypeScript finds what does not exist.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(join(process.cwd(), "check.mjs"));
const file = process.argv[2];
const objects = JSON.parse(readFileSync(file, "utf8"));
let wrong = 0;
const types = ["// Written by check.mjs."];
objects.forEach((object, i) => {
  const what = `${object.kind} ${object.metadata?.name}`;
  const path = `kubernetes-models/${object.apiVersion}/${object.kind}`;
  let model;
  try {
    model = require(path)[object.kind];
  } catch {
    console.error(`${file}: ${what}: ${object.apiVersion} has no ${object.kind}`);
    ++wrong;
    return;
  }
  try {
    new model(object).validate();
  } catch (error) {
    console.error(`${file}: ${what}: ${error.message}`);
    ++wrong;
  }
  types.push(`import type { I${object.kind} as T${i} } from "${path}";`);
  types.push(`// ${what}`, `export const o${i}: T${i} = ${JSON.stringify(object, null, 2)};`);
});
const source = file.replace(/\.json$/, ".ts");
writeFileSync(source, types.join("\n") + "\n");
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
if (!existsSync(tsc)) throw new Error(`${tsc} is missing`);
try {
  execFileSync(process.execPath, [tsc, "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", source]);
} catch (error) {
  console.error(String(error.stdout));
  ++wrong;
}
if (wrong > 0 || objects.length === 0) process.exit(1);
console.log(`${file}: ${objects.length} objects agree with the schema`);
