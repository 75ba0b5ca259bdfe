/** The page, put together: a table of contents of what a user can do. */

import { decisionTree, model } from "./api.js";

decisionTree().catch(() => {});
model().catch(() => {});
