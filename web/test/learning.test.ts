import assert from "node:assert/strict";
import { test } from "node:test";
import type { BundleInfo } from "../src/bundle.js";
import { BundleError, EarnestError } from "../src/errors.js";
import { eceByChance, softmax, temperatureOf } from "../src/learning/calibration.js";
import { discriminants, fitHead, scoresOf } from "../src/learning/discriminant.js";
import { permutation } from "../src/learning/draws.js";
import { checkedLabel, type Example, MOST_EXAMPLES, usable } from "../src/learning/examples.js";
import { byCodePoint, foldsOf } from "../src/learning/folds.js";
import { withHead } from "../src/learning/heads.js";
import { areGuesses, lacking, licenceOf } from "../src/learning/summary.js";
import { fieldsOf, writtenField, writtenNumber } from "../src/learning/protobuf.js";
import { indexOfLargest } from "../src/numbers.js";

const FACTS = { name: "mine" };
const HEAD = { weights: [[1], [2]], bias: [0, 0], temperature: 1, sureFromS: 1.5, known: null, overlapFrom: null };

function examples(nEach: number, labels: readonly string[] = ["asks", "tells"], speakers: readonly string[] = [""]): Example[] {
  return labels.flatMap((label, number) =>
    Array.from({ length: nEach }, (_, place) => ({
      name: `${label}/${place}.wav`,
      label,
      speaker: speakers[place % speakers.length],
      seconds: 1,
      speechSeconds: 1,
      embedding: Float32Array.of(number + Math.sin(7 * place) / 4, Math.cos(5 * place + number), 1),
      sha256: `${label} ${place}`,
    })),
  );
}

test("numbers are drawn as numpy draws them", () => {
  assert.deepEqual(permutation(7), [2, 4, 3, 6, 5, 0, 1]); // numpy.random.default_rng(0).permutation(7)
  assert.deepEqual(permutation(40).slice(0, 6), [11, 27, 4, 24, 23, 2]);
});

test("texts are sorted as Python sorts them, beyond the first plane too", () => {
  assert.deepEqual(["b", "\u{1f600}", "\uff41", "ab", "a", ""].sort(byCodePoint), ["", "a", "ab", "b", "\uff41", "\u{1f600}"]);
});

test("a few speakers are left out one by one, many in ten folds of whole speakers", () => {
  const few = examples(8, ["asks", "tells"], ["anna", "bert"]);
  const { labelled } = usable(few);
  assert.deepEqual(foldsOf(labelled.groups, labelled.targets, true), few.map(({ speaker }) => Number(speaker === "bert")));
  const many = usable(examples(40, ["asks", "tells"], Array.from({ length: 20 }, (_, number) => `s${number}`))).labelled;
  const folds = foldsOf(many.groups, many.targets, true);
  assert.equal(new Set(folds).size, 10);
  many.groups.forEach((group, place) => {
    assert.equal(folds[place], folds[many.groups.indexOf(group)]);
  });
});

test("the head tells classes apart that differ, and a class without rows is never the answer", () => {
  const { labelled } = usable(examples(12));
  const head = fitHead(labelled);
  const answers = labelled.rows.map((row) => indexOfLargest(scoresOf(head, row)));
  assert.deepEqual(answers, labelled.targets);
  const [alone] = discriminants({ ...labelled, nClasses: 3 }, [0.6]);
  for (const row of labelled.rows) assert.notEqual(indexOfLargest(scoresOf(alone, row)), 2);
});

test("the temperature makes confidence and share right equal", () => {
  const logits = Array.from({ length: 100 }, () => Float64Array.of(30, 0));
  const targets = logits.map((_, place) => Number(place % 5 === 0)); // the first is right in 80 of 100
  assert.ok(Math.abs(softmax(logits[0], temperatureOf(logits, targets))[0] - 0.8) < 1e-9);
});

test("answers that are right as often as by chance are guesses, also where those of few speakers are alike", () => {
  const { labelled } = usable(examples(12, ["asks", "tells"], ["anna", "bert", "cleo"]));
  const right = (share: (place: number) => boolean): number[] => labelled.targets.map((target, place) => (share(place) ? target : 1 - target));
  assert.equal(areGuesses({ labelled }, right(() => true)), false);
  assert.equal(areGuesses({ labelled }, right((place) => place % 2 === 0)), true);
  assert.equal(areGuesses({ labelled }, right((place) => labelled.groups[place] !== "anna")), true); // two thirds, by speaker
  const alone = { ...labelled, groups: labelled.groups.map((group, place) => `${group} ${place}`) };
  assert.equal(areGuesses({ labelled: alone }, right((place) => place % 6 > 0)), false); // five sixths of 24
});

test("folds that lack a class are told on the card, which tells the mean over folds", () => {
  assert.equal(lacking([3, 3], 3, 0.5), "");
  const told = "UA: in 2 of 3 folds a class has no recording, and their UA is the mean recall over the others. Over all recordings UA is 61.4.";
  assert.equal(lacking([2, 3, 2], 3, 0.6141), told);
  assert.ok(lacking([2, 2], 3, 0.5).startsWith("UA: in 2 of 2 folds"));
});

test("what chance gives is the mean deviation of a binomial", () => {
  const rows = Array.from({ length: 4 }, () => Float64Array.of(0.5, 0.5));
  assert.ok(Math.abs(eceByChance(rows) - 0.75 / 4) < 1e-12); // E|X − 2| of four coins
});

test("a licence says first what the corpora forbid that the weights heard, unless it says so itself", () => {
  const told = (licence: string, ...corpora: string[]): string =>
    licenceOf({ licence, training_corpora: corpora.map((one) => ({ name: "made-up", licence: one })) } as unknown as BundleInfo);
  assert.equal(told("not stated", "CC0-1.0", "CC-BY-NC-SA-4.0"), "non-commercial use only: not stated");
  assert.equal(told("CC BY-NC 4.0", "CC-BY-NC-SA-4.0"), "CC BY-NC 4.0");
  assert.equal(told("not stated", "CC0-1.0"), "not stated");
});

test("labels are names that can be printed", () => {
  assert.equal(checkedLabel("  e\u0301veille\u0301 "), "éveillé");
  assert.equal(checkedLabel("بی\u200cطرف"), "بی\u200cطرف"); // Persian: neutral
  for (const wrong of ["", "  ", "unsure", "a\nb", "\u202eevil", "x".repeat(65)]) assert.throws(() => checkedLabel(wrong), EarnestError);
});

test("the same sound twice and small classes are left out with the reason", () => {
  const all = [...examples(5), ...examples(2, ["rare"])];
  all[1].sha256 = all[0].sha256;
  all[9].sha256 = all[4].sha256; // in both classes
  const { kept, refused, classes } = usable(all);
  assert.deepEqual(classes, ["asks", "tells"]);
  assert.equal(kept.length, 7);
  assert.equal(refused.length, 5);
  assert.match(refused[0].reason, /the same sound as asks\/0\.wav/);
  assert.match(refused[1].reason, /several classes: asks, tells/);
  assert.match(refused.at(-1)!.reason, /has 2, 3 are needed/);
});

test("too few, too many and mixed recordings are refused in a sentence", () => {
  assert.throws(() => usable([]), /usable classes: none/);
  assert.throws(() => usable(examples(3, ["asks"])), /usable classes: asks/);
  assert.throws(() => usable(examples(MOST_EXAMPLES / 2 + 1)), /too many for a page/);
  const mixed = examples(4);
  mixed[2].embedding = Float32Array.of(1);
  assert.throws(() => usable(mixed), /different models/);
  mixed[2].embedding = Float32Array.of(1, NaN, 0);
  assert.throws(() => usable(mixed), EarnestError);
});

test("what is no graph, or a damaged one, is a BundleError", async () => {
  const graph = writtenField(7, writtenField(12, writtenField(1, "logits")));
  const damaged = [new Uint8Array(), Uint8Array.of(0x3a, 0x7f), new Uint8Array(40).fill(0xff), graph, graph.subarray(0, 9)];
  for (const bytes of damaged) await assert.rejects(withHead(bytes, HEAD, FACTS), BundleError);
});

test("fields are read as they were written", () => {
  const message = Uint8Array.from([...writtenNumber(3, 300), ...writtenField(2, "text")]);
  const [first, second] = fieldsOf(message);
  assert.deepEqual([first.number, first.content, second.number], [3, null, 2]);
  assert.equal(new TextDecoder().decode(second.content!), "text");
  for (let end = 1; end < message.length; end++) {
    if (end !== 3) assert.throws(() => fieldsOf(message.subarray(0, end)), RangeError);
  }
});
