/** One colour per emotion, of known ones the same as in the Python package's plots, and always with its name beside it. */

/** Okabe and Ito (2008), distinct in every common colour blindness; the rest are darker or lighter relatives. */
export const COLOURS: Partial<Record<string, string>> = {
  neutral: "#b4b4b4",
  calm: "#56b4e9",
  happy: "#f0e442",
  sad: "#0072b2",
  angry: "#d55e00",
  fearful: "#cc79a7",
  disgust: "#009e73",
  surprised: "#e69f00",
  boredom: "#8c6d4f",
  excited: "#f7b6a0",
  frustration: "#7a2f00",
  contempt: "#5b4a8a",
  other: "#3f3f3f",
};
const UNSURE = "#7d7d7d"; // of spans without an emotion, darker than neutral
const SPARE = ["#44aa99", "#882255", "#ddcc77", "#332288", "#117733", "#aa4499"];

const others: string[] = []; // words of one's own, in the order in which they were first seen

/** The colour of an emotion; one that has none takes the next spare one, and keeps it while the page is open. */
export function colourOf(emotion: string): string {
  const known = emotion === "unsure" ? UNSURE : COLOURS[emotion];
  if (known) return known;
  if (!others.includes(emotion)) others.push(emotion);
  return SPARE[others.indexOf(emotion) % SPARE.length];
}

/** Black or white, whichever is easier to read on a colour. */
export function inkOn(colour: string): "#000" | "#fff" {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const value = parseInt(colour.slice(start, start + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) ? "#000" : "#fff";
}
