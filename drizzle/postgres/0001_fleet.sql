CREATE TABLE "fleet_members" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"expires_at" bigint NOT NULL,
	"rate_divisor" integer
);
--> statement-breakpoint
CREATE TABLE "pass_leases" (
	"pass" text COLLATE "C" PRIMARY KEY NOT NULL,
	"holder" text COLLATE "C",
	"fence" integer NOT NULL
);
--> statement-breakpoint
CREATE UNLOGGED TABLE "rate_limits" (
	"key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"points" integer NOT NULL,
	"expire" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "rate_limits_by_expire" ON "rate_limits" USING btree ("expire");