/** Ask before something is lost. */

import { byId } from "../dom.js";

/** "delete", "keep", or "" where the question was put away. */
export async function sure(question: string): Promise<string> {
  const dialog = byId<HTMLDialogElement>("sure");
  byId("sure-text").textContent = question;
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => {
    dialog.addEventListener("close", resolve, { once: true });
  });
  return dialog.returnValue;
}
