/** Ask before something is lost. */

import { byId } from "../dom.js";

/**
 * "delete", "keep", or "" where the question was put away.
 *
 * @param does what the button says that goes on
 * @param keeps what the other one says
 */
export async function sure(question: string, does = "Delete", keeps = "Keep it"): Promise<string> {
  const dialog = byId<HTMLDialogElement>("sure");
  byId("sure-text").textContent = question;
  byId("sure-go").textContent = does;
  byId("sure-keep").textContent = keeps;
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => {
    dialog.addEventListener("close", resolve, { once: true });
  });
  return dialog.returnValue;
}
