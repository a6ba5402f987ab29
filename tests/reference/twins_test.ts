import { camelCase, operandsOf, readFixture, recorded } from "../fixtures/fixture.ts";
import { assertGradient, dot } from "./central_differences.ts";
import { TENSOR_TWINS } from "./twins.ts";

const FOLDER = new URL("../fixtures/operations/", import.meta.url);

for (const file of [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()) {
  const fixture = readFixture(new URL(file, FOLDER)), { config } = fixture;
  const twin = TENSOR_TWINS[camelCase(config.op)];
  if (twin === undefined) continue;
  Deno.test(`the gradient of the twin on ${file.replace(".bin", "")} equals central differences`, () => {
    const operands = operandsOf(fixture), dOutput = recorded(fixture, "dOutput");
    for (const [name, gradient] of Object.entries(twin.backward(dOutput, operands, config))) {
      assertGradient(name, gradient.data, operands[name].data, () => dot(dOutput, twin.forward(operands, config)));
    }
  });
}
