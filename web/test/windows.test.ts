import assert from "node:assert/strict";
import { test } from "node:test";
import { type Activity, EnergyActivity } from "../src/activity.js";
import { EarnestError } from "../src/errors.js";
import { lengthOf } from "../src/speech.js";
import { type Job, Windower, type WindowerOptions } from "../src/windows.js";

const RATE = 16_000;
const loud = (seconds: number): number[] => Array.from({ length: seconds * RATE }, (_, index) => (index % 2 ? 0.1 : -0.1));
const silent = (seconds: number): number[] => new Array<number>(seconds * RATE).fill(0);

async function all(jobs: AsyncIterable<Job>): Promise<Job[]> {
  const found: Job[] = [];
  for await (const job of jobs) found.push(job);
  return found;
}

async function cut(sound: Float32Array, piece: number, options: WindowerOptions = {}): Promise<{ jobs: Job[]; windower: Windower }> {
  const windower = new Windower(RATE, RATE, () => new EnergyActivity(), options);
  const jobs: Job[] = [];
  for (let start = 0; start < sound.length; start += piece) {
    jobs.push(...(await all(windower.accept(sound.slice(start, start + piece)))));
  }
  return { jobs: [...jobs, ...(await all(windower.finish()))], windower };
}

test("a recording no longer than a window and a hop is heard at once and stands for its loud part", async () => {
  for (const live of [true, false]) {
    const sound = Float32Array.from([...silent(0.5), ...loud(1), ...silent(1.5)]);
    const { jobs, windower } = await cut(sound, 999, { live });
    const extent = { start: 0.5 * RATE, end: 1.5 * RATE };
    assert.deepEqual(jobs, [{ extent, segmentStart: extent.start, sound }, { extent, sound: null }]);
    assert.ok(windower.isWhole);
  }
});

test("room noise far from the speech of a short recording is not heard", async () => {
  const noise = (seconds: number): number[] => loud(seconds).map((value) => value / 32); // 30 dB softer
  const newDetector = (): Activity => ({ name: "energy", probability: (frame) => (Math.abs(frame[1]) > 0.05 ? 1 : 0) });
  const sound = Float32Array.from([...noise(1), ...loud(1), ...noise(1.5)]);
  const heard = async (of: Float32Array, options: WindowerOptions): Promise<number> => {
    const windower = new Windower(RATE, RATE, newDetector, options);
    const [first] = [...(await all(windower.accept(of))), ...(await all(windower.finish()))];
    return first.sound!.length;
  };
  for (const live of [true, false]) {
    for (const needsActivity of [true, false]) {
      const length = await heard(sound, { live, needsActivity });
      assert.ok(Math.abs(length - 2 * RATE) < 0.3 * RATE, `${length}`);
    }
    const little = Float32Array.from([...noise(0.5), ...loud(1), ...noise(0.5)]);
    assert.equal(await heard(little, { live }), little.length);
  }
});

test("the level alone lets a short recording pass where activity is not needed, and silence never", async () => {
  const click = Float32Array.from([...silent(0.5), ...loud(0.05)]);
  assert.deepEqual((await cut(click, 999)).jobs, []);
  assert.equal((await cut(click, 999, { needsActivity: false })).jobs.length, 2);
  assert.deepEqual((await cut(Float32Array.from(silent(1)), 999, { needsActivity: false })).jobs, []);
});

test("activity is looked for in a short recording only if it must be", async () => {
  let nAsked = 0;
  const newDetector = (): Activity => ({ name: "energy", probability: () => { nAsked++; return 0; } });
  const hear = async (options: WindowerOptions, seconds: number): Promise<number> => {
    nAsked = 0;
    const windower = new Windower(RATE, RATE, newDetector, options);
    assert.deepEqual(await all(windower.accept(new Float32Array(seconds * RATE))), []);
    assert.deepEqual(await all(windower.finish()), []);
    return nAsked;
  };
  assert.equal(await hear({ needsActivity: false, live: false }, 2), 0);
  assert.equal(await hear({ needsActivity: true, live: false }, 2), 63);
  assert.equal(await hear({ needsActivity: false, live: true }, 2), 63);
  assert.equal(await hear({ needsActivity: false, live: false }, 5), 157);
});

test("windows are heard with up to half a second of context, which never reaches into another segment", async () => {
  const sound = Float32Array.from([...silent(2), ...loud(2), ...silent(0.8), ...loud(4.5), ...silent(3)]);
  const { jobs } = await cut(sound, sound.length);
  const segments = jobs.filter((job) => job.sound === null).map(({ extent }) => extent);
  assert.equal(segments.length, 2);
  const [first, second] = segments;
  const heard = jobs.flatMap((job) => (job.sound ? [job] : []));
  assert.ok(heard.length > 3);
  for (const { extent, segmentStart, sound: samples } of heard) {
    const isFirst = extent.start === segmentStart;
    const own = segmentStart === first.start ? first : second;
    const isLast = extent.end === own.end;
    const from = isFirst ? Math.max(extent.start - RATE / 2, own === first ? 0 : first.end) : extent.start;
    const to = isLast ? Math.min(extent.end + RATE / 2, own === first ? second.start : sound.length) : extent.end;
    assert.deepEqual(samples, sound.slice(from, to));
  }
});

test("the size of the pieces changes nothing", async () => {
  const sound = Float32Array.from([...loud(3.7), ...silent(1.1), ...loud(0.1), ...silent(2), ...loud(5.2)]);
  const whole = await cut(sound, sound.length);
  for (const piece of [160, 4_321, 48_000]) assert.deepEqual((await cut(sound, piece)).jobs, whole.jobs);
  assert.deepEqual((await cut(sound, 4_321, { live: false })).jobs, whole.jobs);
});

test("nothing is handed out before more than a window and a hop has arrived", async () => {
  const windower = new Windower(RATE, RATE, () => new EnergyActivity(), { windowS: 2, hopS: 1 });
  const hear = async (seconds: number): Promise<number> => (await all(windower.accept(Float32Array.from(loud(seconds))))).length;
  assert.deepEqual([await hear(1), await hear(1), await hear(1), await hear(0.5)], [0, 0, 0, 2]);
  assert.ok(windower.isSpeaking);
});

test("a window that would end in the silence that fills the last frame ends with the recording", async () => {
  const { jobs } = await cut(Float32Array.from(loud(5)).slice(0, 79_990), 999);
  assert.deepEqual(jobs.at(-1), { extent: { start: 0, end: 79_990 }, sound: null });
  assert.equal(Math.max(...jobs.map(({ extent }) => extent.end)), 79_990);
});

test("windows and hops beyond their bounds are refused", () => {
  for (const options of [{ hopS: 0.05 }, { windowS: 61 }, { windowS: 1, hopS: 2 }, { windowS: NaN }]) {
    assert.throws(() => new Windower(RATE, RATE, () => new EnergyActivity(), options), EarnestError);
  }
});

test("a window's extent is never longer than a window", async () => {
  const { jobs } = await cut(Float32Array.from(loud(9.3)), 1_000, { windowS: 2.5, hopS: 0.7 });
  for (const job of jobs) if (job.sound) assert.ok(lengthOf(job.extent) <= 2.5 * RATE);
});

test("loud sound that is perhaps speech is heard too, once it is over, and the segment before it is not lost", async () => {
  const inDoubt = (): Activity => ({ name: "silero", probability: (frame) => (Math.abs(frame[1]) > 0.15 ? 1 : Math.abs(frame[1]) > 0.05 ? 0.1 : 0) });
  const scaled = (seconds: number, factor: number): number[] => loud(seconds).map((value) => value * factor);
  const parts = [silent(1), scaled(2, 4), silent(0.6), loud(2), silent(0.6), scaled(2, 4), silent(1)];
  const hear = async (factor: number, needsActivity = false): Promise<number[][]> => {
    const windower = new Windower(RATE, RATE, inDoubt, { needsActivity });
    const sound = Float32Array.from(parts.map((part, index) => (index === 3 ? scaled(2, factor) : part)).flat());
    const jobs = [...(await all(windower.accept(sound))), ...(await all(windower.finish()))];
    return jobs.filter(({ sound: heard }) => !heard).map(({ extent }) => [extent.start / RATE, extent.end / RATE]);
  };
  const near = (found: number[][], expected: number[][]): void => {
    assert.equal(found.length, expected.length);
    const wanted = expected.flat();
    for (const [at, time] of found.flat().entries()) assert.ok(Math.abs(time - wanted[at]) < 0.2, `${time}`);
  };
  near(await hear(1), [[1, 3], [3.6, 5.6], [6.2, 8.2]]);
  near(await hear(0.3), [[1, 3], [6.2, 8.2]]); // softer: no segment
  near(await hear(1, true), [[1, 3], [6.2, 8.2]]); // nobody else says whether it is speech
});

test("what is in doubt for long is cut into parts that don't overlap", async () => {
  const windower = new Windower(RATE, RATE, () => ({ name: "silero", probability: () => 0.1 }), { needsActivity: false });
  const jobs = [...(await all(windower.accept(Float32Array.from(loud(10))))), ...(await all(windower.finish()))];
  const frames = jobs.filter(({ sound }) => !sound).map(({ extent }) => [extent.start / 512, extent.end / 512]);
  assert.deepEqual(frames, [[0, 125], [125, 250], [250, 312.5]]);
});
