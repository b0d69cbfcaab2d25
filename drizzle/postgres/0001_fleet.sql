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
