/** In the audio thread: channels are averaged, 128 samples at a time are gathered into tenths of a second. */

const CHUNK = Math.round(sampleRate / 10);

class Chunks extends AudioWorkletProcessor {
  private chunk = new Float32Array(CHUNK);
  private n = 0;

  process([channels]: Float32Array[][]): boolean {
    if (!channels.length) return true;
    for (let index = 0; index < channels[0].length; index++) {
      let sum = 0;
      for (const channel of channels) sum += channel[index];
      this.chunk[this.n++] = sum / channels.length;
      if (this.n === CHUNK) this.post();
    }
    return true;
  }

  private post(): void {
    this.port.postMessage(this.chunk, [this.chunk.buffer]);
    this.chunk = new Float32Array(CHUNK);
    this.n = 0;
  }
}

registerProcessor("earnest-chunks", Chunks);
