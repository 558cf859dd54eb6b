import { expect, test } from "vitest";
import { readAnswerData, readNestedAnswerData } from "./answer-data.ts";

const read = (text: string) => readAnswerData(Buffer.from(text));

test.each([
  ['{"data":{"n":12345678901234567890,"f":1.0},"error":""}', '{"n":12345678901234567890,"f":1.0}'],
  ['{"error":null,"data":[]}', "[]"],
  ['{ "data" : "" }', '""'],
  ['{"data":{\n"a":\r\n1}}', '{ "a":  1}'],
  ['{"data":1,"data":2}', "2"],
])("the data of %j stays as it is written, on one line", (text, data) => {
  expect(read(text)).toBe(data);
});

test("an answer in an answer gives the inner data", () => {
  expect(readNestedAnswerData(Buffer.from('{"data":{"data":{"id":"a"}},"error":""}'))).toBe('{"id":"a"}');
  expect(() => readNestedAnswerData(Buffer.from('{"data":{"id":"a"}}'))).toThrow("it sent no data");
});

test.each([
  ['{"data":null,"error":"no credits"}', "it reported the error: no credits"],
  ['{"data":{},"error":"no credits"}', "it reported the error: no credits"],
  ['{"error":{"code":1}}', 'it reported the error: {"code":1}'],
  ['{"error":""}', "it sent no data"],
  ['{"data":null}', "it sent no data"],
  ["{}", "it sent no data"],
  ["", "it sent what is not JSON at character 0"],
  ["[]", "it sent what is not JSON at character 0"],
  ['{"data":{}', "it sent what is not JSON at character 10"],
  ['{"data":{}} x', "it sent what is not JSON at character 12"],
  [`{"data":${"[".repeat(300)}${"]".repeat(300)}}`, "its answer is nested more than 190 deep"],
])("%j is refused", (text, message) => {
  expect(() => read(text)).toThrow(message);
});

test("bytes that are not UTF-8 are refused", () => {
  expect(() => readAnswerData(Buffer.from([0x7b, 0xff, 0x7d]))).toThrow("not UTF-8");
});
