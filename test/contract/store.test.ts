import { describe } from "vitest";
import { DATABASES } from "../harness/rigs/stores.ts";
import { storeContract } from "./store.contract.ts";

describe.each(DATABASES)("the store on $name", ({ create }) => storeContract(create));
